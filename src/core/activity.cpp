#include "relgrad/core/activity.hpp"

#include <atomic>

namespace relgrad {

namespace {
std::atomic<std::uint64_t> pieces_of_work{0};  // only ever compared with what it was before
}

void note_activity() { pieces_of_work.fetch_add(1, std::memory_order_relaxed); }
std::uint64_t activity() { return pieces_of_work.load(std::memory_order_relaxed); }

}  // namespace relgrad
