#include "hdf5/file.hpp"

#include "core/names.hpp"
#include "hdf5/handles.hpp"

namespace relgrad::hdf5 {
namespace {

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

/// The library calls this: no exception may pass through it, -1 ends the iteration.
herr_t visit_attribute(hid_t object, const char* name, const H5A_info_t*, void* to) {
  try {
    return read_attribute(object, name, *static_cast<Attributes*>(to));
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
  constexpr Names<Type, 4> names = {{{Type::uint8, "uint8"},
                                     {Type::int64, "int64"},
                                     {Type::float32, "float32"},
                                     {Type::float64, "float64"}}};
  return word_for(names, type);
}

std::map<std::string, DatasetFound> contents(const std::filesystem::path& path) {
  const Quiet quiet;
  const std::uint64_t file_bytes = RawFile(path, RawFile::Mode::read).size();
  const File file = open_to_read(path);
  std::map<std::string, DatasetFound> found;
  for (const std::string& name : dataset_names(file, path)) {
    found.emplace(name, describe(file.get(), name, path.string(), file_bytes));
  }
  return found;
}

}  // namespace relgrad::hdf5
