#include "relgrad/core/escaped.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <filesystem>
#include <new>
#include <nlohmann/json.hpp>
#include <system_error>

namespace relgrad {

namespace {

enum class Kind { disk, machine, other };

Kind kind_of(const std::error_code& code) {
  if (code.category() != std::generic_category() && code.category() != std::system_category()) {
    return Kind::other;
  }
  switch (code.value()) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
    case EROFS:
    case EPIPE:
    case EIO:
      return Kind::disk;
    case EAGAIN:
    case ENOMEM:
    case EMFILE:
    case ENFILE:
      return Kind::machine;
    default:
      return Kind::other;
  }
}

Error of_system(const std::system_error& escaped, const std::string& what, bool is_about_a_file) {
  switch (kind_of(escaped.code())) {
    case Kind::disk:
      return DiskError(what + "; free space or write elsewhere");
    case Kind::machine:
      return MachineError(what + "; start fewer ranks or --threads on a node, or raise its limits");
    case Kind::other:
      break;
  }
  if (is_about_a_file) return DataError(what + "; check the path and its permissions");
  return {ExitCode::internal, what};
}

}  // namespace

Error as_error(const std::exception_ptr& escaped) {
  try {
    std::rethrow_exception(escaped);
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return MachineError(
        "out of memory: start fewer ranks on a node or with a smaller --batch-size");
  } catch (const std::filesystem::filesystem_error& file) {
    return of_system(file, fmt::format("{}: {}", file.path1().string(), file.code().message()),
                     true);
  } catch (const std::system_error& system) {
    return of_system(system, system.what(), false);
  } catch (const nlohmann::json::exception& json) {
    return CheckpointError(
        fmt::format("a manifest.json does not hold what it should ({}); take another --checkpoint",
                    json.what()));
  } catch (const std::exception& other) {
    return {ExitCode::internal, other.what()};
  }
}

}  // namespace relgrad
