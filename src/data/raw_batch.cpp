#include "relgrad/data/raw_batch.hpp"

namespace relgrad {

std::string_view name_of(ElementType type) {
  return type == ElementType::uint8 ? "uint8" : "float32";
}

}  // namespace relgrad
