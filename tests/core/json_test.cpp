#include "relgrad/core/json.hpp"

#include <gtest/gtest.h>

namespace relgrad {
namespace {

std::string nested(int depth) { return std::string(depth, '[') + std::string(depth, ']'); }

TEST(Json, DeepNestingIsRefusedBeforeItCanUseUpTheStack) {
  EXPECT_EQ(parse_json(nested(50)).dump(), nested(50));
  EXPECT_THROW(parse_json(nested(200000)), nlohmann::json::exception);
  EXPECT_THROW(parse_json(std::string(200000, '{')), nlohmann::json::exception);
  EXPECT_TRUE(parse_json_or_discard(nested(200000)).is_discarded());
  EXPECT_TRUE(parse_json_or_discard("{\"a\": ").is_discarded());
  EXPECT_EQ(parse_json(R"({"b": [1, {"c": null}], "a": "x"})").dump(),
            R"({"a":"x","b":[1,{"c":null}]})");
}

TEST(Json, BytesThatAreNoUtf8ArePrintedAsReplacements) {
  EXPECT_EQ(json_text(nlohmann::json{{"path", "r\xE9"}}), "{\"path\":\"r\xEF\xBF\xBD\"}");
}

}  // namespace
}  // namespace relgrad
