#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "hdf5/handles.hpp"

namespace relgrad::hdf5 {
namespace {

void write_integers(hid_t dataset, const std::string& name,
                    const std::vector<std::int64_t>& values) {
  const hsize_t count = values.size();
  const Space space(check<DiskError>(
      count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, nullptr), name));
  const Attribute attribute(check<DiskError>(
      H5Acreate2(dataset, name.c_str(), H5T_STD_I64LE, space.get(), H5P_DEFAULT, H5P_DEFAULT),
      name));
  check<DiskError>(H5Awrite(attribute.get(), H5T_NATIVE_INT64, values.data()), name);
}

void write_text(hid_t dataset, const std::string& name, const std::string& text) {
  const Datatype type(check<DiskError>(H5Tcopy(H5T_C_S1), name));
  check<DiskError>(H5Tset_size(type.get(), text.size() + 1), name);
  check<DiskError>(H5Tset_cset(type.get(), H5T_CSET_UTF8), name);
  const Space space(check<DiskError>(H5Screate(H5S_SCALAR), name));
  const Attribute attribute(check<DiskError>(
      H5Acreate2(dataset, name.c_str(), type.get(), space.get(), H5P_DEFAULT, H5P_DEFAULT), name));
  check<DiskError>(H5Awrite(attribute.get(), type.get(), text.c_str()), name);
}

Place create_dataset(hid_t file, const DatasetPlan& plan) {
  const std::vector<hsize_t> shape(plan.shape.begin(), plan.shape.end());
  const Space space(check<DiskError>(
      shape.empty() ? H5Screate(H5S_SCALAR)
                    : H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr),
      plan.name));
  const PropertyList links(check<DiskError>(H5Pcreate(H5P_LINK_CREATE), plan.name));
  check<DiskError>(H5Pset_create_intermediate_group(links.get(), 1), plan.name);
  const PropertyList creation(check<DiskError>(H5Pcreate(H5P_DATASET_CREATE), plan.name));
  check<DiskError>(H5Pset_layout(creation.get(), H5D_CONTIGUOUS), plan.name);
  // The same content makes the same file, whenever it is made.
  check<DiskError>(H5Pset_obj_track_times(creation.get(), 0), plan.name);
  check<DiskError>(H5Pset_alloc_time(creation.get(), H5D_ALLOC_TIME_EARLY), plan.name);
  check<DiskError>(H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER), plan.name);
  const Dataset dataset(
      check<DiskError>(H5Dcreate2(file, plan.name.c_str(), file_type(plan.type), space.get(),
                                  links.get(), creation.get(), H5P_DEFAULT),
                       plan.name));
  for (const auto& [name, values] : plan.attributes.integers) {
    write_integers(dataset.get(), name, values);
  }
  for (const auto& [name, text] : plan.attributes.texts) write_text(dataset.get(), name, text);
  const std::uint64_t bytes = count_of(plan.shape) * bytes_of(plan.type);
  const haddr_t offset = bytes == 0 ? 0 : H5Dget_offset(dataset.get());
  if (offset == HADDR_UNDEF) throw DiskError(plan.name + ": HDF5 allocated no space");
  return {offset, bytes};
}

/// A file that lives in memory only and vanishes with its descriptor.
class MemoryFile {
 public:
  MemoryFile() : descriptor_(::memfd_create("relgrad-hdf5-structure", MFD_CLOEXEC)) {
    if (descriptor_ < 0) throw DiskError(fmt::format("memfd_create: {}", std::strerror(errno)));
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  std::string path() const { return fmt::format("/proc/self/fd/{}", descriptor_); }

  /// From now on what the library writes to `file` lands here; it writes all of it again on
  /// closing.
  void take_the_place_of(const File& file) const {
    void* descriptor = nullptr;
    check<DiskError>(H5Fget_vfd_handle(file.get(), H5P_DEFAULT, &descriptor), "its descriptor");
    if (::dup3(descriptor_, *static_cast<int*>(descriptor), O_CLOEXEC) < 0)
      throw DiskError(fmt::format("dup3: {}", std::strerror(errno)));
  }

 private:
  int descriptor_;
};

/// Makes `path` and proves that a block can be written to it. @throws DiskError
void make_writable_file(const std::filesystem::path& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (descriptor < 0) throw DiskError(fmt::format("cannot create it: {}", std::strerror(errno)));
  ::close(descriptor);
  const std::vector<std::byte> block(4096);
  try {
    RawFile(path, RawFile::Mode::write).write_at(0, block.data(), block.size());
  } catch (const DiskError&) {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
    throw;
  }
}

/// The structure of the file in `memory`, the datasets being holes; `path` is left empty. The
/// library must not meet a full disk: after a failed H5Fclose (1.10) it can neither close nor
/// forget the file and crashes when MPI or the process ends.
std::vector<Place> build_structure(const std::filesystem::path& path, const MemoryFile& memory,
                                   const std::vector<DatasetPlan>& plans) {
  const Quiet quiet;
  const PropertyList access = serial_access();
  File file(check<DiskError>(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()),
                             "cannot create it"));
  memory.take_the_place_of(file);
  std::vector<Place> places;
  places.reserve(plans.size());
  for (const DatasetPlan& plan : plans) places.push_back(create_dataset(file.get(), plan));
  check<DiskError>(file.close(), "cannot make its structure");
  return places;
}

/// The limit of `ulimit -f`, which holds in memory too, told before the library runs into it.
void check_size_limit(const std::vector<DatasetPlan>& plans) {
  std::uint64_t bytes = 4096;  // generous: the structure takes less
  for (const DatasetPlan& plan : plans) {
    const auto groups = static_cast<std::uint64_t>(std::ranges::count(plan.name, '/'));
    bytes += 2048 * (groups + 1) + count_of(plan.shape) * bytes_of(plan.type);
  }
  struct rlimit limit = {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < bytes)
    throw DiskError(fmt::format("{}: {} bytes are needed, {} allowed. Raise the limit (ulimit -f).",
                                std::strerror(EFBIG), bytes, limit.rlim_cur));
}

/// Everything of `memory` that is not data, at the same offsets of `path`.
void copy_structure(const MemoryFile& memory, std::vector<Place> places,
                    const std::filesystem::path& path) {
  const RawFile from(memory.path(), RawFile::Mode::read);
  const RawFile to(path, RawFile::Mode::write);
  std::ranges::sort(places, {}, &Place::offset);
  places.push_back({from.size(), 0});
  std::uint64_t done = 0;
  std::vector<std::byte> gap;
  for (const Place& place : places) {
    if (place.offset > done) {
      gap.resize(place.offset - done);
      from.read_at(done, gap.data(), gap.size());
      to.write_at(done, gap.data(), gap.size());
    }
    done = std::max(done, place.offset + place.bytes);
  }
  std::error_code error;
  std::filesystem::resize_file(path, from.size(), error);
  if (error) throw DiskError(fmt::format("cannot take {} bytes: {}", from.size(), error.message()));
}

}  // namespace

std::vector<Place> create(const std::filesystem::path& path,
                          const std::vector<DatasetPlan>& plans) {
  bool is_made = false;
  try {
    check_size_limit(plans);
    make_writable_file(path);
    is_made = true;
    const MemoryFile memory;
    const std::vector<Place> places = build_structure(path, memory, plans);
    copy_structure(memory, places, path);
    return places;
  } catch (const std::exception& error) {
    std::error_code ignored;
    if (is_made) std::filesystem::remove(path, ignored);
    const std::string message = error.what();
    const bool names_path = message.starts_with(path.string());
    throw DiskError(names_path ? message : fmt::format("{}: {}", path.string(), message));
  }
}

}  // namespace relgrad::hdf5
