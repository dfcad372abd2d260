#include "commands/score_file.hpp"

#include <algorithm>

#include "commands/stop_at_once.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

void RowsToRoot::hand_over(const std::vector<Range>& rows, std::span<const float> mine,
                           const Take& take) {
  constexpr std::int64_t bytes_at_once = std::int64_t{64} << 20U;
  const std::int64_t most = bytes_at_once / (columns_ * std::int64_t{sizeof(float)});
  const std::size_t ranks = rows.size();
  const auto me = static_cast<std::size_t>(comm_->rank());
  for (std::size_t first = 0; first < ranks;) {
    std::vector<std::int64_t> counts(ranks, 0);  // numbers that root receives from each rank
    std::int64_t total = 0;
    std::size_t end = first;
    while (end < ranks && (total == 0 || total + rows[end].size() <= most)) {
      total += rows[end].size();
      counts[end] = rows[end].size() * columns_;
      ++end;
    }
    std::vector<std::int64_t> sent(ranks, 0);
    sent[0] = counts[me];
    std::vector<std::int64_t> received(ranks, 0);
    if (comm_->is_root()) {
      received = counts;
      received_.resize(static_cast<std::size_t>(total * columns_));
    }
    comm_->alltoall(mine.first(static_cast<std::size_t>(sent[0])), sent, received_, received);
    mpi::together(*comm_, [&] {
      if (!comm_->is_root()) return;
      std::size_t at = 0;
      for (std::size_t rank = first; rank < end; ++rank) {
        const auto size = static_cast<std::size_t>(counts[rank]);
        if (size > 0) take(rows[rank].begin, std::span(received_).subspan(at, size));
        at += size;
      }
    });
    first = end;
  }
}

ScoreFile::ScoreFile(const std::filesystem::path& output, std::string_view option,
                     const std::vector<hdf5::DatasetPlan>& plans)
    : file_(output, option) {
  StopAtOnce::removes(file_.temporary());
  places_ = hdf5::create(file_.temporary(), plans);
  std::uint64_t bytes = 0;
  for (const hdf5::Place& place : places_) bytes = std::max(bytes, place.offset + place.bytes);
  hdf5::RawFile(file_.temporary(), hdf5::RawFile::Mode::write).reserve(bytes);
}

ScoreFile::~ScoreFile() { StopAtOnce::removes({}); }

void ScoreFile::write(std::size_t dataset, std::uint64_t offset, const void* from,
                      std::uint64_t bytes) const {
  hdf5::RawFile(file_.temporary(), hdf5::RawFile::Mode::write)
      .write_at(places_.at(dataset).offset + offset, from, bytes);
}

void ScoreFile::commit() { file_.commit(); }

}  // namespace relgrad
