#pragma once
/// How much memory this process has taken, and how much more it could take before the machine or
/// its job's limit stops it.
#include <cstdint>
#include <filesystem>

namespace relgrad {

/// Bytes: what the kernel calls available, or less where a control group (SLURM's --mem) sets a
/// limit; file pages it could drop count as free. The largest number there is where nothing tells.
/// @param root  "/" but in tests: where proc/ and sys/ are looked for
std::uint64_t available_memory(const std::filesystem::path& root = "/");

/// Bytes: the most that was resident at any time.
std::uint64_t peak_memory();

}  // namespace relgrad
