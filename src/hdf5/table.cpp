#include "hdf5/table.hpp"

#include <fmt/ranges.h>

#include <algorithm>

#include "hdf5/handles.hpp"
#include "hdf5/listing.hpp"

namespace relgrad::hdf5 {

namespace {

struct MemoryType {
  hid_t id;
  std::string numpy;
  std::size_t bytes;
};

/// h5py writes truth values as an enumeration of FALSE and TRUE in one byte.
bool holds_truth_values(hid_t type) {
  if (H5Tget_class(type) != H5T_ENUM || H5Tget_size(type) != 1 || H5Tget_nmembers(type) != 2) {
    return false;
  }
  signed char no = -1;
  signed char yes = -1;
  return H5Tenum_valueof(type, "FALSE", &no) >= 0 && H5Tenum_valueof(type, "TRUE", &yes) >= 0 &&
         no == 0 && yes == 1;
}

/// @throws DataError unless `type` is one of numbers.
MemoryType memory_type(hid_t type, const std::string& where) {
  const std::size_t bytes = H5Tget_size(type);
  switch (H5Tget_class(type)) {
    case H5T_INTEGER: {
      const bool is_unsigned = H5Tget_sign(type) == H5T_SGN_NONE;
      if (bytes > 8) break;
      if (is_unsigned && bytes == 1) return {H5T_NATIVE_UINT8, "|u1", 1};
      return is_unsigned ? MemoryType{H5T_NATIVE_UINT64, "<u8", 8}
                         : MemoryType{H5T_NATIVE_INT64, "<i8", 8};
    }
    case H5T_FLOAT:
      return bytes <= 4 ? MemoryType{H5T_NATIVE_FLOAT, "<f4", 4}
                        : MemoryType{H5T_NATIVE_DOUBLE, "<f8", 8};
    case H5T_ENUM:
      if (holds_truth_values(type)) return {type, "|b1", 1};
      break;
    default:
      break;
  }
  throw DataError(
      where + " holds no integers, reals or truth values; name another, or write it as float32");
}

/// Where links lead to other files, nothing is followed.
herr_t refuse_link(const char*, const char*, const char*, const char*, unsigned*, hid_t, void*) {
  return -1;
}

std::string names_of(const std::vector<DatasetListed>& listed) {
  constexpr std::size_t most_named = 20;
  std::vector<std::string> texts;
  for (const DatasetListed& one : listed) {
    if (texts.size() == most_named) {
      texts.emplace_back("...");
      break;
    }
    texts.push_back(fmt::format("{} [{}]", one.name, fmt::join(one.shape, ", ")));
  }
  return fmt::format("{}", fmt::join(texts, ", "));
}

/// The dataset that is meant. @throws DataError if an empty `name` leaves a choice.
std::string choose(const std::filesystem::path& path, const std::string& name) {
  if (!name.empty()) return name.front() == '/' ? name : "/" + name;
  const std::vector<DatasetListed> listed = list(path);
  if (listed.size() == 1) return listed.front().name;
  if (listed.empty()) throw DataError(path.string() + ": holds no dataset");
  throw DataError(fmt::format("{}: holds {} datasets, {}: name one as in {}:{}", path.string(),
                              listed.size(), names_of(listed), path.filename().string(),
                              listed.front().name));
}

[[noreturn]] void throw_unwritten(const std::string& where) {
  throw DataError(where + " was not written to its end: some of its values were never stored");
}

/// Rows of a chunk. @throws DataError if chunks are missing, or larger than may be taken.
std::uint64_t check_chunks(hid_t dataset, const PropertyList& creation,
                           const std::vector<std::uint64_t>& shape, std::size_t element_bytes,
                           const std::string& where) {
  std::vector<hsize_t> chunk(shape.size());
  check<DataError>(H5Pget_chunk(creation.get(), static_cast<int>(chunk.size()), chunk.data()),
                   where);
  constexpr std::uint64_t most_bytes = std::uint64_t{1} << 30U;
  if (count_of({chunk.begin(), chunk.end()}) > most_bytes / element_bytes) {
    throw DataError(
        fmt::format("{} has chunks of [{}] values, which take more than 1 GiB; write smaller ones "
                    "(h5repack -l CHUNK=...)",
                    where, fmt::join(chunk, ", ")));
  }
  hsize_t wanted = 1;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    wanted *= (shape[axis] - 1) / chunk[axis] + 1;
  }
  const Space space(check<DataError>(H5Dget_space(dataset), where));
  hsize_t stored = 0;
  check<DataError>(H5Dget_num_chunks(dataset, space.get(), &stored), where);
  if (stored != wanted) throw_unwritten(where);
  return chunk.front();
}

/// Rows of a chunk; 1 for other layouts. @throws DataError if values lie elsewhere or are missing.
std::uint64_t check_layout(hid_t dataset, const std::vector<std::uint64_t>& shape,
                           std::size_t element_bytes, const std::string& where) {
  const PropertyList creation(check<DataError>(H5Dget_create_plist(dataset), where));
  const H5D_layout_t layout = H5Pget_layout(creation.get());
  if (layout == H5D_VIRTUAL || H5Pget_external_count(creation.get()) > 0) {
    throw DataError(where + " takes its values from other files; copy it into one file (h5copy)");
  }
  if (layout == H5D_CHUNKED) return check_chunks(dataset, creation, shape, element_bytes, where);
  if (H5Dget_storage_size(dataset) == 0) throw_unwritten(where);
  return 1;
}

}  // namespace

struct Table::Impl {
  Impl(const std::filesystem::path& path, const std::string& wanted)
      : name(choose(path, wanted)),
        where(fmt::format("{}: dataset '{}'", path.string(), name)),
        file(open_to_read(path)),
        dataset(open_dataset(path)),
        stored(check<DataError>(H5Dget_type(dataset.get()), where)),
        memory(memory_type(stored.get(), where)) {
    const Space space(check<DataError>(H5Dget_space(dataset.get()), where));
    const int axes = H5Sget_simple_extent_ndims(space.get());
    if (H5Sget_simple_extent_type(space.get()) != H5S_SIMPLE || axes < 1) {
      throw DataError(where + " is a single value; name an array");
    }
    std::vector<hsize_t> extents(static_cast<std::size_t>(axes));
    check<DataError>(H5Sget_simple_extent_dims(space.get(), extents.data(), nullptr), where);
    shape.assign(extents.begin(), extents.end());
    const std::uint64_t values = count_of(shape);
    if (values == 0)
      throw DataError(fmt::format("{} is empty: [{}]", where, fmt::join(shape, ", ")));
    row_bytes = values / shape.front() * memory.bytes;
    chunk_rows = check_layout(dataset.get(), shape, H5Tget_size(stored.get()), where);
  }

  Dataset open_dataset(const std::filesystem::path& path) const {
    const PropertyList access(check<DataError>(H5Pcreate(H5P_DATASET_ACCESS), where));
    check<DataError>(H5Pset_elink_cb(access.get(), &refuse_link, nullptr), where);
    const hid_t id = H5Dopen2(file.get(), name.c_str(), access.get());
    if (id >= 0) return Dataset(id);
    throw DataError(
        fmt::format("{} cannot be opened; the file holds {}", where, names_of(list(path))));
  }

  Quiet quiet;
  std::string name;
  std::string where;
  File file;
  Dataset dataset;
  Datatype stored;
  MemoryType memory;
  std::vector<std::uint64_t> shape;
  std::uint64_t row_bytes = 0;
  std::uint64_t chunk_rows = 1;
};

Table::Table(const std::filesystem::path& path, const std::string& name) {
  RawFile(path, RawFile::Mode::read);  // refuses what is no regular file
  impl_ = std::make_unique<Impl>(path, name);
}
Table::~Table() = default;

const std::string& Table::name() const { return impl_->name; }
const std::vector<std::uint64_t>& Table::shape() const { return impl_->shape; }
const std::string& Table::numpy_type() const { return impl_->memory.numpy; }
std::uint64_t Table::row_bytes() const { return impl_->row_bytes; }

std::uint64_t Table::rows_at_once() const {
  constexpr std::uint64_t usual_bytes = std::uint64_t{16} << 20U;
  constexpr std::uint64_t most_bytes = std::uint64_t{256} << 20U;
  const std::uint64_t rows = std::max<std::uint64_t>(1, usual_bytes / impl_->row_bytes);
  const std::uint64_t chunk = impl_->chunk_rows;
  const std::uint64_t whole_chunks = (rows + chunk - 1) / chunk * chunk;
  return whole_chunks <= most_bytes / impl_->row_bytes ? whole_chunks : rows;
}

void Table::read(std::uint64_t first_row, std::uint64_t count, void* to) const {
  const std::string& where = impl_->where;
  std::vector<hsize_t> extents(impl_->shape.begin(), impl_->shape.end());
  std::vector<hsize_t> start(extents.size(), 0);
  start.front() = first_row;
  extents.front() = count;
  const Space space(check<DataError>(H5Dget_space(impl_->dataset.get()), where));
  check<DataError>(H5Sselect_hyperslab(space.get(), H5S_SELECT_SET, start.data(), nullptr,
                                       extents.data(), nullptr),
                   where);
  const Space memory(check<DataError>(
      H5Screate_simple(static_cast<int>(extents.size()), extents.data(), nullptr), where));
  check<DataError>(
      H5Dread(impl_->dataset.get(), impl_->memory.id, memory.get(), space.get(), H5P_DEFAULT, to),
      fmt::format("{}: rows {} to {} cannot be read; the file is damaged, or HDF5 "
                  "lacks its compression here",
                  where, first_row, first_row + count));
}

}  // namespace relgrad::hdf5
