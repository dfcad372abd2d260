#pragma once
/// Names in RUN/ckpt and their life: rank 0 alone makes, renames and removes directories, and only
/// ever those with the names below.
///   step-000012000             a checkpoint
///   .tmp-step-000012000-ID     in flight, or left by a job that died: removed at the next save
///   .trash-step-000012000-ID   being removed
///   .aside-step-000012000-ID   the old copy while a new one of the same step takes its name, on
///   file
///                              systems that cannot exchange names; counts while there is no new
///                              one
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>

#include "relgrad/checkpoint/checkpoint.hpp"

namespace relgrad::checkpoint {

std::filesystem::path checkpoints_of(const std::filesystem::path& run_directory);
std::string step_name(std::int64_t step);
/// The step in "step-000012000"; nothing for other names.
std::optional<std::int64_t> step_of_name(const std::string& name);
/// The step in ".aside-step-000012000-ID".
std::optional<std::int64_t> step_of_aside(const std::string& name);

/// state.metrics.val_bits_per_dim, if it is a finite number.
std::optional<double> val_bits_per_dim(const Found& checkpoint);

/// Makes RUN/ckpt, removes what dead jobs left, checks that `bytes` fit on the disk and makes the
/// temporary directory, whose path it returns. @throws DiskError
std::filesystem::path prepare_directory(const std::filesystem::path& run_directory,
                                        std::int64_t step, std::uint64_t bytes);

/// 1 + the largest ordinal among older checkpoints.
std::int64_t next_ordinal(const std::filesystem::path& run_directory, std::int64_t step);

/// Writes manifest.json into `temporary`, on disk before it has its name. @throws DiskError
void write_manifest(const std::filesystem::path& temporary, const std::string& text);

/// Gives `temporary` the name of the checkpoint of `step`; an older copy of the same step is
/// removed once the new one has the name. Sets `committed` as soon as it has. @throws DiskError
void commit_directory(const std::filesystem::path& run_directory,
                      const std::filesystem::path& temporary, std::int64_t step, bool& committed);

void write_latest(const std::filesystem::path& run_directory, std::int64_t step);

/// Removes checkpoints older than `step` that no rule keeps. @throws DiskError
void retain(const std::filesystem::path& run_directory, std::int64_t step,
            const Retention& retention);

/// Removes a temporary directory of a save that failed; what cannot be removed stays for next time.
void abandon_directory(const std::filesystem::path& temporary);

}  // namespace relgrad::checkpoint
