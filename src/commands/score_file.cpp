#include "commands/score_file.hpp"

#include <algorithm>
#include <utility>

#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

void LatentValues::add(Range rows, Range coordinates, Matrix<float> z) {
  if (z.size() > 0) blocks_.push_back({rows, coordinates, std::move(z)});
}

void LatentValues::gather(const mpi::Communicator& comm, const Take& take) const {
  constexpr std::int64_t bytes_at_once = std::int64_t{64} << 20U;
  const std::int64_t rows_at_once =
      std::max<std::int64_t>(1, bytes_at_once / (dimension_ * std::int64_t{sizeof(float)}));
  Matrix<float> part(dimension_, std::min(rows_at_once, rows_));
  for (std::int64_t begin = 0; begin < rows_; begin += rows_at_once) {
    const std::int64_t end = std::min(begin + rows_at_once, rows_);
    part.setZero();
    for (const Block& block : blocks_) {
      const std::int64_t from = std::max(begin, block.rows.begin);
      const std::int64_t to = std::min(end, block.rows.end);
      if (from >= to) continue;
      part.block(block.coordinates.begin, from - begin, block.z.rows(), to - from) =
          block.z.middleCols(from - block.rows.begin, to - from);
    }
    const std::span<float> values(part.data(),
                                  static_cast<std::size_t>((end - begin) * dimension_));
    comm.allreduce_sum(values);  // exact: one rank has the value, the others 0
    mpi::together(comm, [&] { take(static_cast<std::uint64_t>(begin), values); });
  }
}

ScoreFile::ScoreFile(const std::filesystem::path& output, std::string_view option,
                     const std::vector<hdf5::DatasetPlan>& plans)
    : file_(output, option), places_(hdf5::create(file_.temporary(), plans)) {}

void ScoreFile::write(std::size_t dataset, std::uint64_t offset, const void* from,
                      std::uint64_t bytes) const {
  hdf5::RawFile(file_.temporary(), hdf5::RawFile::Mode::write)
      .write_at(places_.at(dataset).offset + offset, from, bytes);
}

void ScoreFile::commit() { file_.commit(); }

}  // namespace relgrad
