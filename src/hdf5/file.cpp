#include "relgrad/hdf5/file.hpp"

#include <fmt/format.h>
#include <hdf5.h>

#include <array>
#include <bit>
#include <exception>
#include <numeric>
#include <utility>

#include "relgrad/core/error.hpp"

namespace relgrad::hdf5 {
namespace {

static_assert(std::endian::native == std::endian::little,
              "raw bytes are written as they lie in memory, and files are little-endian");

/// Owns one identifier of the library; `Close` is the call that gives it back.
template <herr_t (*Close)(hid_t)>
class Handle {
 public:
  explicit Handle(hid_t id) : id_(id) {}
  Handle(Handle&& other) noexcept : id_(std::exchange(other.id_, H5I_INVALID_HID)) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    return *this;
  }
  ~Handle() {
    if (id_ >= 0) Close(id_);
  }
  hid_t get() const { return id_; }
  herr_t close() { return Close(std::exchange(id_, H5I_INVALID_HID)); }

 private:
  hid_t id_;
};
using File = Handle<H5Fclose>;
using Dataset = Handle<H5Dclose>;
using Space = Handle<H5Sclose>;
using PropertyList = Handle<H5Pclose>;
using Datatype = Handle<H5Tclose>;
using Attribute = Handle<H5Aclose>;

/// While it lives the library prints nothing on standard error: its messages travel in ours.
class Quiet {
 public:
  Quiet() {
    H5Eget_auto2(H5E_DEFAULT, &function_, &data_);
    H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
  }
  ~Quiet() { H5Eset_auto2(H5E_DEFAULT, function_, data_); }
  Quiet(const Quiet&) = delete;
  Quiet& operator=(const Quiet&) = delete;

 private:
  H5E_auto2_t function_ = nullptr;
  void* data_ = nullptr;
};

/// The innermost message of the library's error stack, without line breaks.
std::string reason() {
  std::string text;
  const auto first = [](unsigned n, const H5E_error2_t* error, void* to) -> herr_t {
    if (n == 0 && error->desc != nullptr) *static_cast<std::string*>(to) = error->desc;
    return 0;
  };
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first, &text);
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text.empty() ? "no reason given by HDF5" : text;
}

/// `id` if the call that returned it succeeded; else throws E "WHAT (reason of the library)".
template <class E, class Id>
Id check(Id id, const std::string& what) {
  if (id < 0) throw E(fmt::format("{} ({})", what, reason()));
  return id;
}

/// The plain POSIX driver, without file locks: files are written once and renamed, locks protect
/// nothing here and fail on NFS and Lustre.
PropertyList serial_access() {
  PropertyList access(check<DiskError>(H5Pcreate(H5P_FILE_ACCESS), "HDF5 file access list"));
  check<DiskError>(H5Pset_fapl_sec2(access.get()), "HDF5 sec2 driver");
  check<DiskError>(H5Pset_file_locking(access.get(), false, true), "HDF5 file locking");
  check<DiskError>(H5Pset_fclose_degree(access.get(), H5F_CLOSE_STRONG), "HDF5 close degree");
  return access;
}

hid_t file_type(Type type) {
  switch (type) {
    case Type::uint8:
      return H5T_STD_U8LE;
    case Type::int64:
      return H5T_STD_I64LE;
    case Type::float32:
      return H5T_IEEE_F32LE;
    case Type::float64:
      return H5T_IEEE_F64LE;
  }
  throw ShapeError("hdf5: unknown element type");
}

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

std::uint64_t count_of(const std::vector<std::uint64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), std::uint64_t{1}, std::multiplies<>());
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

/// Reads an attribute that is integers or text; others are of no interest here.
herr_t read_attribute(hid_t object, const char* name, Attributes& attributes) {
  const Attribute attribute(H5Aopen(object, name, H5P_DEFAULT));
  const Datatype type(H5Aget_type(attribute.get()));
  const Space space(H5Aget_space(attribute.get()));
  const hssize_t count = H5Sget_simple_extent_npoints(space.get());
  if (count < 0) return -1;
  if (H5Tget_class(type.get()) == H5T_INTEGER) {
    std::vector<std::int64_t> values(static_cast<std::size_t>(count));
    if (H5Aread(attribute.get(), H5T_NATIVE_INT64, values.data()) < 0) return -1;
    attributes.integers[name] = std::move(values);
  } else if (H5Tget_class(type.get()) == H5T_STRING && count == 1) {
    if (H5Tis_variable_str(type.get()) > 0) {
      char* text = nullptr;
      if (H5Aread(attribute.get(), type.get(), static_cast<void*>(&text)) < 0) return -1;
      attributes.texts[name] = text == nullptr ? "" : text;
      H5free_memory(text);
    } else {
      std::string text(H5Tget_size(type.get()), '\0');
      if (H5Aread(attribute.get(), type.get(), text.data()) < 0) return -1;
      attributes.texts[name] = text.c_str();  // up to the terminator or padding
    }
  }
  return 0;
}

/// The library calls the next two: no exception may pass through it, -1 ends the iteration.
herr_t visit_attribute(hid_t object, const char* name, const H5A_info_t*, void* to) {
  try {
    return read_attribute(object, name, *static_cast<Attributes*>(to));
  } catch (...) {
    return -1;
  }
}

herr_t visit_object(hid_t, const char* name, const H5O_info_t* info, void* to) {
  try {
    if (info->type == H5O_TYPE_DATASET) {
      static_cast<std::vector<std::string>*>(to)->push_back(std::string("/") + name);
    }
    return 0;
  } catch (...) {
    return -1;
  }
}

Type type_found(hid_t datatype, const std::string& where) {
  for (const Type type : {Type::uint8, Type::int64, Type::float32, Type::float64}) {
    if (H5Tequal(datatype, file_type(type)) > 0) return type;
  }
  throw DataError(where +
                  ": its element type is none of uint8, int64, float32, float64 in little-endian "
                  "order. Write it with one of these.");
}

DatasetFound describe(hid_t file, const std::string& name, const std::string& path,
                      std::uint64_t file_bytes) {
  const std::string where = fmt::format("{}: dataset '{}'", path, name);
  const Dataset dataset(check<DataError>(H5Dopen2(file, name.c_str(), H5P_DEFAULT), where));
  const Datatype type(check<DataError>(H5Dget_type(dataset.get()), where));
  const Space space(check<DataError>(H5Dget_space(dataset.get()), where));
  const PropertyList creation(check<DataError>(H5Dget_create_plist(dataset.get()), where));
  DatasetFound found;
  found.name = name;
  found.type = type_found(type.get(), where);
  std::vector<hsize_t> shape(
      static_cast<std::size_t>(check<DataError>(H5Sget_simple_extent_ndims(space.get()), where)));
  check<DataError>(H5Sget_simple_extent_dims(space.get(), shape.data(), nullptr), where);
  found.shape.assign(shape.begin(), shape.end());
  if (H5Pget_layout(creation.get()) != H5D_CONTIGUOUS || H5Pget_external_count(creation.get()) > 0)
    throw DataError(where +
                    " is chunked, compressed or external; relgrad reads contiguous ones. "
                    "Rewrite it with h5repack -l CONTI -f NONE.");
  found.place.bytes = count_of(found.shape) * bytes_of(found.type);
  const haddr_t offset = found.place.bytes == 0 ? 0 : H5Dget_offset(dataset.get());
  if (offset == HADDR_UNDEF) throw DataError(where + " was declared but never written.");
  if (offset > file_bytes || found.place.bytes > file_bytes - offset)
    throw DataError(fmt::format("{} ends at byte {}, the file at {}: it was cut. Copy it again.",
                                where, offset + found.place.bytes, file_bytes));
  found.place.offset = offset;
  check<DataError>(H5Aiterate2(dataset.get(), H5_INDEX_NAME, H5_ITER_NATIVE, nullptr,
                               &visit_attribute, &found.attributes),
                   where + ": attributes");
  return found;
}

}  // namespace

std::size_t bytes_of(Type type) {
  switch (type) {
    case Type::uint8:
      return 1;
    case Type::float32:
      return 4;
    case Type::int64:
    case Type::float64:
      return 8;
  }
  throw ShapeError("hdf5: unknown element type");
}

std::string_view name_of(Type type) {
  switch (type) {
    case Type::uint8:
      return "uint8";
    case Type::int64:
      return "int64";
    case Type::float32:
      return "float32";
    case Type::float64:
      return "float64";
  }
  throw ShapeError("hdf5: unknown element type");
}

std::vector<Place> create(const std::filesystem::path& path,
                          const std::vector<DatasetPlan>& plans) {
  const Quiet quiet;
  const PropertyList access = serial_access();
  File file(check<DiskError>(
      H5Fcreate(path.c_str(), H5F_ACC_EXCL, H5P_DEFAULT, access.get()),
      fmt::format("{}: cannot create it; check that it does not exist, permission and free space",
                  path.string())));
  std::vector<Place> places;
  places.reserve(plans.size());
  for (const DatasetPlan& plan : plans) {
    try {
      places.push_back(create_dataset(file.get(), plan));
    } catch (const DiskError& error) {
      throw DiskError(fmt::format("{}: {}", path.string(), error.what()));
    }
  }
  check<DiskError>(file.close(),
                   path.string() + ": cannot write its structure; check quota and free space");
  return places;
}

std::map<std::string, DatasetFound> contents(const std::filesystem::path& path) {
  const Quiet quiet;
  const std::uint64_t file_bytes = RawFile(path, RawFile::Mode::read).size();
  const PropertyList access = serial_access();
  const File file(check<DataError>(
      H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.get()),
      path.string() + ": cannot be opened as HDF5; it is another format, cut or damaged"));
  std::vector<std::string> names;
  check<DataError>(
      H5Ovisit2(file.get(), H5_INDEX_NAME, H5_ITER_NATIVE, &visit_object, &names, H5O_INFO_BASIC),
      path.string() + ": its groups cannot be read; it is damaged");
  std::map<std::string, DatasetFound> found;
  for (const std::string& name : names) {
    found.emplace(name, describe(file.get(), name, path.string(), file_bytes));
  }
  return found;
}

}  // namespace relgrad::hdf5
