#include "relgrad/core/escaped.hpp"

#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <new>
#include <system_error>

namespace relgrad {
namespace {

TEST(AsError, OrdinaryTroubleHasItsOwnExitCode) {
  const auto error_of = [](const auto& escaped) {
    return as_error(std::make_exception_ptr(escaped));
  };
  const auto code_of = [&](const auto& escaped) { return error_of(escaped).code(); };
  const auto file = [](std::errc code) {
    return std::filesystem::filesystem_error("status", "/some/where", std::make_error_code(code));
  };
  EXPECT_EQ(code_of(std::bad_alloc()), exit_code_machine);
  EXPECT_EQ(code_of(std::system_error(EAGAIN, std::generic_category())), exit_code_machine);
  EXPECT_EQ(code_of(std::system_error(ENOSPC, std::system_category())), ExitCode::disk);
  EXPECT_EQ(code_of(file(std::errc::no_space_on_device)), ExitCode::disk);
  EXPECT_EQ(code_of(file(std::errc::permission_denied)), ExitCode::data);
  EXPECT_EQ(code_of(file(std::errc::filename_too_long)), ExitCode::data);
  EXPECT_EQ(code_of(DataError("x")), ExitCode::data);
  EXPECT_EQ(code_of(std::logic_error("x")), ExitCode::internal);
  EXPECT_EQ(std::string(error_of(file(std::errc::permission_denied)).what()),
            "/some/where: Permission denied; check the path and its permissions");
}

}  // namespace
}  // namespace relgrad
