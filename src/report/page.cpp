#include "report/page.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>

#include "core/build_info.hpp"
#include "relgrad/core/files.hpp"
#include "report/html.hpp"
#include "report/sections.hpp"
#include "report/style.hpp"

namespace relgrad {

namespace reporting {

namespace {

/// What tells a report from another file, so that a new one may replace it.
constexpr const char* mark = "<meta name=\"generator\" content=\"relgrad report\">";

constexpr std::size_t most_picture_bytes = 2U << 20U;  // of a page of at most 3 MiB

}  // namespace

std::string page(const Runs& runs, const std::string& written) {
  std::string title;
  for (const RunRecord& run : runs) title += (title.empty() ? "" : ", ") + run.name;
  Html body;
  for (const auto& section :
       {summary(runs), curves(runs), figures(runs), samples(runs, most_picture_bytes),
        step_time(runs), models(runs), options(runs), environment(runs)}) {
    body += section;
  }
  // The policy lets the page load nothing, from the network or else.
  return html(
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n{}\n"
             "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
             "style-src 'unsafe-inline'; img-src data:\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<title>{} – relgrad</title>\n<style>{}</style>\n</head>\n<body>\n<main>\n"
             "<h1>{}</h1>\n{}</main>\n<footer>Written by relgrad {} on {}.</footer>\n</body>\n"
             "</html>\n",
             Html(mark), title, Html(style), title, body, build_info().version, written)
      .markup();
}

}  // namespace reporting

int write_report(const ReportOptions& options) {
  check_replaceable(options.output, "--output", [](const std::string& content) {
    return content.find(reporting::mark) != std::string::npos;
  });
  std::vector<reporting::RunRecord> runs;
  for (const std::filesystem::path& path : options.runs) runs.push_back(reporting::read_run(path));
  const auto now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  write_file(options.output,
             reporting::page(runs, fmt::format("{:%Y-%m-%d %H:%M} UTC", fmt::gmtime(now))));
  return 0;
}

}  // namespace relgrad
