#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "data/array_header.hpp"
#include "data/scratch_file.hpp"
#include "data/unpack.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"

namespace relgrad {

namespace fs = std::filesystem;

namespace {

using Fields = std::vector<std::string_view>;

/// The lines of a text file, plain or .gz, without line ends and byte order mark.
class LineReader {
 public:
  explicit LineReader(const fs::path& path) : file_(path), block_(std::size_t{1} << 16U) {}

  std::string name() const { return file_.name(); }
  std::uint64_t number() const { return number_; }  // of the line that next() gave, from 1

  /// The next line, valid until the next call; nothing at the end. @throws DataError.
  std::optional<std::string_view> next() {
    line_.clear();
    constexpr std::size_t most_bytes = std::size_t{64} << 20U;
    while (true) {
      if (at_ == end_ && !fill()) {
        if (line_.empty()) return std::nullopt;
        return finish();
      }
      const char* const begin = block_.data() + at_;
      const void* const found = std::memchr(begin, '\n', end_ - at_);
      const std::size_t length =
          found == nullptr ? end_ - at_
                           : static_cast<std::size_t>(static_cast<const char*>(found) - begin);
      line_.append(begin, length);
      at_ += length;
      if (line_.size() > most_bytes) {
        throw DataError(
            fmt::format("{}: line {} is longer than 64 MiB: not a table", name(), number_ + 1));
      }
      if (found == nullptr) continue;
      ++at_;
      return finish();
    }
  }

 private:
  bool fill() {
    at_ = 0;
    end_ = static_cast<std::size_t>(file_.read_some(block_.data(), block_.size()));
    return end_ > 0;
  }

  std::string_view finish() {
    std::string_view line = line_;
    if (++number_ == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }

  InputFile file_;
  std::vector<char> block_;
  std::size_t at_ = 0;
  std::size_t end_ = 0;
  std::string line_;
  std::uint64_t number_ = 0;
};

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t") == std::string_view::npos;
}

/// Without blanks around it, and without quotes (RFC 4180).
std::string_view trimmed(std::string_view field) {
  while (!field.empty() && (field.front() == ' ' || field.front() == '\t')) field.remove_prefix(1);
  while (!field.empty() && (field.back() == ' ' || field.back() == '\t')) field.remove_suffix(1);
  if (field.size() >= 2 && field.front() == '"' && field.back() == '"') {
    return field.substr(1, field.size() - 2);
  }
  return field;
}

/// What stands between separators that are not within quotes.
void split(std::string_view line, char separator, Fields& fields) {
  fields.clear();
  bool is_quoted = false;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '"') is_quoted = !is_quoted;
    if (line[i] != separator || is_quoted) continue;
    fields.push_back(trimmed(line.substr(begin, i - begin)));
    begin = i + 1;
  }
  fields.push_back(trimmed(line.substr(begin)));
}

/// The whole of `text` as a number; std::from_chars knows one spelling in every locale.
template <class Number>
bool parse(std::string_view text, Number& value) {
  if (text.size() > 1 && text[0] == '+' && text[1] != '-' && text[1] != '+') text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size() && !text.empty();
}

bool is_number(std::string_view text) {
  double value = 0;
  return parse(text, value);
}

/// Semicolon, tab or comma, whichever of them stands in the first line, in this order: a comma
/// beside a semicolon may be a decimal one.
char separator_of(std::string_view line) {
  for (const char separator : {';', '\t'}) {
    if (line.find(separator) != std::string_view::npos) return separator;
  }
  return ',';
}

/// What the first look at all lines finds.
struct Layout {
  char separator = ',';
  std::size_t columns = 0;
  bool has_names = false;
  bool are_integers = true;
  std::uint64_t rows = 0;
};

/// Names are no numbers, or count the columns from 0, as pandas does where there are none.
bool are_names(const Fields& fields) {
  if (std::ranges::none_of(fields, is_number)) return true;
  for (std::size_t i = 0; i < fields.size(); ++i) {
    if (fields[i] != fmt::format("{}", i)) return false;
  }
  return fields.size() > 1;
}

/// Calls work(fields) for every row. @throws DataError naming the line.
template <class Work>
void for_each_row(LineReader& lines, const Layout& layout, const Work& work) {
  Fields fields;
  std::uint64_t blank_line = 0;
  while (const std::optional<std::string_view> line = lines.next()) {
    if (is_blank(*line)) {
      if (blank_line == 0) blank_line = lines.number();
      continue;
    }
    if (blank_line > 0) {
      throw DataError(fmt::format("{}: line {} is empty; remove it", lines.name(), blank_line));
    }
    if (layout.has_names && lines.number() == 1) continue;
    split(*line, layout.separator, fields);
    if (fields.size() != layout.columns) {
      throw DataError(fmt::format(
          "{}: line {} has {} column{}, the first line {}; mend or remove it", lines.name(),
          lines.number(), fields.size(), fields.size() == 1 ? "" : "s", layout.columns));
    }
    work(fields);
  }
}

Layout look_at_lines(const fs::path& path) {
  Layout layout;
  Fields fields;
  const std::string first_line = [&] {
    LineReader lines(path);
    return std::string(lines.next().value_or(""));
  }();
  if (is_blank(first_line)) throw DataError(path.string() + ": its first line is empty");
  layout.separator = separator_of(first_line);
  split(first_line, layout.separator, fields);
  layout.columns = fields.size();
  layout.has_names = are_names(fields);
  if (layout.has_names) {
    log_info(fmt::format("{}: its first line is taken for names of columns: {:.60}", path.string(),
                         fmt::format("{}", fmt::join(fields, " "))));
  }
  LineReader lines(path);
  for_each_row(lines, layout, [&](const Fields& row) {
    std::int64_t value = 0;
    for (const std::string_view field : row) {
      layout.are_integers = layout.are_integers && parse(field, value);
    }
    ++layout.rows;
  });
  if (layout.rows == 0) throw DataError(path.string() + ": no rows below its first line");
  return layout;
}

template <class Number>
void write_values(const fs::path& path, const Layout& layout, ScratchFile& to) {
  LineReader lines(path);
  std::vector<Number> values;
  const auto write = [&] {
    to.append(
        {reinterpret_cast<const std::uint8_t*>(values.data()), values.size() * sizeof(Number)});
    values.clear();
  };
  for_each_row(lines, layout, [&](const Fields& fields) {
    for (std::size_t i = 0; i < fields.size(); ++i) {
      Number value = 0;
      if (!parse(fields[i], value) || !std::isfinite(static_cast<double>(value))) {
        throw DataError(fmt::format(
            "{}: line {}, column {}: '{:.40}' is no finite number with a decimal point; remove the "
            "row or the column",
            lines.name(), lines.number(), i + 1, fields[i]));
      }
      values.push_back(value);
    }
    constexpr std::size_t values_at_once = std::size_t{1} << 18U;
    if (values.size() >= values_at_once) write();
  });
  write();
}

}  // namespace

std::unique_ptr<InputFile> unpack_csv(const fs::path& path, const fs::path& scratch) {
  const Layout layout = look_at_lines(path);
  ScratchFile content(scratch);
  const std::string header =
      npy_header(layout.are_integers ? "<i8" : "<f8", {layout.rows, layout.columns});
  content.append({reinterpret_cast<const std::uint8_t*>(header.data()), header.size()});
  if (layout.are_integers) {
    write_values<std::int64_t>(path, layout, content);
  } else {
    write_values<double>(path, layout, content);
  }
  return std::make_unique<InputFile>(content, path);
}

}  // namespace relgrad
