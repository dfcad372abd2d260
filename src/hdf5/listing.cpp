#include "hdf5/listing.hpp"

#include <algorithm>

#include "hdf5/handles.hpp"

namespace relgrad::hdf5 {

namespace {

std::string number_in_words(hid_t type, const char* kind) {
  const std::size_t bits = 8 * H5Tget_size(type);
  const bool is_big_endian = bits > 8 && H5Tget_order(type) == H5T_ORDER_BE;
  return fmt::format("{}{}{}", kind, bits, is_big_endian ? ", big-endian" : "");
}

std::string type_in_words(hid_t type) {
  switch (H5Tget_class(type)) {
    case H5T_INTEGER:
      return number_in_words(type, H5Tget_sign(type) == H5T_SGN_NONE ? "uint" : "int");
    case H5T_FLOAT:
      return number_in_words(type, "float");
    case H5T_STRING:
      return "text";
    case H5T_COMPOUND:
      return "compound";
    case H5T_ENUM:
      return "enumeration";
    default:
      return "other";
  }
}

DatasetListed list_one(const File& file, const std::string& name, const std::string& path,
                       std::uint64_t file_bytes) {
  const std::string where = fmt::format("{}: dataset '{}'", path, name);
  const Dataset dataset(check<DataError>(H5Dopen2(file.get(), name.c_str(), H5P_DEFAULT), where));
  const Datatype type(check<DataError>(H5Dget_type(dataset.get()), where));
  const Space space(check<DataError>(H5Dget_space(dataset.get()), where));
  const PropertyList creation(check<DataError>(H5Dget_create_plist(dataset.get()), where));
  DatasetListed listed{name, {}, type_in_words(type.get()), H5Dget_storage_size(dataset.get())};
  std::vector<hsize_t> shape(
      static_cast<std::size_t>(check<DataError>(H5Sget_simple_extent_ndims(space.get()), where)));
  check<DataError>(H5Sget_simple_extent_dims(space.get(), shape.data(), nullptr), where);
  listed.shape.assign(shape.begin(), shape.end());
  const H5D_layout_t layout = H5Pget_layout(creation.get());
  if (H5Pget_external_count(creation.get()) > 0) {
    listed.type += ", in other files";
  } else if (layout == H5D_CHUNKED) {
    listed.type += ", chunked";
  } else if (layout == H5D_VIRTUAL) {
    listed.type += ", of other datasets";
  } else if (layout == H5D_CONTIGUOUS && listed.bytes > 0) {
    const haddr_t offset = H5Dget_offset(dataset.get());
    if (offset != HADDR_UNDEF && (offset > file_bytes || listed.bytes > file_bytes - offset)) {
      throw DataError(fmt::format("{} ends at byte {}, the file at {}: it was cut. Copy it again.",
                                  where, offset + listed.bytes, file_bytes));
    }
  }
  return listed;
}

}  // namespace

std::vector<DatasetListed> list(const std::filesystem::path& path) {
  const Quiet quiet;
  const std::uint64_t file_bytes = RawFile(path, RawFile::Mode::read).size();
  const File file = open_to_read(path);
  std::vector<DatasetListed> listed;
  for (const std::string& name : dataset_names(file, path)) {
    listed.push_back(list_one(file, name, path.string(), file_bytes));
  }
  std::ranges::sort(listed, {}, &DatasetListed::name);
  return listed;
}

}  // namespace relgrad::hdf5
