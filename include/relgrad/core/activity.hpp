#pragma once
/// A count of pieces of work done by this process before its steps begin (reading a split may take
/// long), by which a watchdog tells slow from stuck. Any thread may add to it.
#include <cstdint>

namespace relgrad {

void note_activity();
std::uint64_t activity();

}  // namespace relgrad
