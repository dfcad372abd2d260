#include <cstdio>

int main() {
  std::puts("relgrad");
  return 0;
}
