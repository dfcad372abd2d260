#include <fmt/format.h>

#include <algorithm>

#include "relgrad/core/error.hpp"
#include "relgrad/core/files.hpp"
#include "report/sections.hpp"

namespace relgrad::reporting {

namespace {

namespace fs = std::filesystem;

std::size_t size_of(const Picture& picture) {
  std::error_code error;
  const auto bytes = fs::file_size(picture.path, error);
  return error ? 0 : bytes_of_picture(bytes);
}

/// `count` of them, first and last included.
std::vector<Picture> spread(const std::vector<Picture>& pictures, std::size_t count) {
  if (count >= pictures.size()) return pictures;
  std::vector<Picture> chosen;
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t last = pictures.size() - 1;
    chosen.push_back(pictures[count == 1 ? last : (i * last + (count - 1) / 2) / (count - 1)]);
  }
  return chosen;
}

/// As many as the page has room for, at most eight.
std::vector<Picture> that_fit(const std::vector<Picture>& pictures, std::size_t most_bytes) {
  for (std::size_t count = std::min<std::size_t>(8, pictures.size()); count > 0; --count) {
    const std::vector<Picture> chosen = spread(pictures, count);
    std::size_t bytes = 0;
    for (const Picture& picture : chosen) bytes += size_of(picture);
    if (bytes <= most_bytes) return chosen;
  }
  return {};
}

std::string caption(const Picture& picture, const RunRecord& run) {
  if (!picture.step) return picture.path.filename().string();
  for (const Reading& reading : run.validations) {
    if (reading.step != *picture.step) continue;
    return fmt::format("epoch {:.4g}, {:.4f} bits/dim", reading.epoch,
                       reading.likelihood.bits_per_dim);
  }
  return fmt::format("step {}", *picture.step);
}

Html figure_of(const Picture& picture, const RunRecord& run) {
  std::string png;
  try {
    png = read_file(picture.path);
  } catch (const DataError&) {  // removed meanwhile
    return {};
  }
  if (!png.starts_with("\x89PNG")) return {};
  const std::string text = caption(picture, run);
  return html("<figure>{}<figcaption>{}</figcaption></figure>\n",
              reporting::picture(png, "Samples: " + text), text);
}

Html row_of(const RunRecord& run, bool is_named, std::size_t most_bytes) {
  const std::vector<Picture> chosen = that_fit(run.pictures, most_bytes);
  Html row;
  for (const Picture& picture : chosen) row += figure_of(picture, run);
  const std::size_t left_out = run.pictures.size() - chosen.size();
  const Html title = is_named ? html("<h3>{}</h3>\n", run.name) : Html();
  const Html note = left_out > 0
                        ? html("<p class=\"note\">{} more in {}</p>\n", left_out, run.path.string())
                        : Html();
  return html("{}<div class=\"pictures\">\n{}</div>\n{}", title, row, note);
}

}  // namespace

Html samples(const Runs& runs, std::size_t most_bytes) {
  const auto have = static_cast<std::size_t>(
      std::ranges::count_if(runs, [](const RunRecord& run) { return !run.pictures.empty(); }));
  if (have == 0) return {};
  Html rows;
  bool are_grids = false;
  for (const RunRecord& run : runs) {
    are_grids |= !run.pictures.empty() && run.pictures.front().step.has_value();
    if (!run.pictures.empty()) rows += row_of(run, runs.size() > 1, most_bytes / have);
  }
  const Html note(are_grids ? "<p class=\"note\">The grids of a run are drawn from the same latent "
                              "vectors.</p>\n"
                            : "");
  return html("<section>\n<h2>Samples</h2>\n{}{}</section>\n", note, rows);
}

}  // namespace relgrad::reporting
