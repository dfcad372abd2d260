#include "run/event_log.hpp"

#include <array>
#include <cmath>

namespace relgrad {

namespace {

struct Tag {
  const char* key;  // of a line of metrics.jsonl
  const char* tag;
};

constexpr std::array training_tags{
    Tag{"train_bits_per_dim", "train/bits_per_dim"},
    Tag{"train_log_likelihood_pixel_nats", "train/log_likelihood_nats"},
    Tag{"log_abs_det_nats", "train/log_abs_det_nats"},
    Tag{"reconstruction_error", "train/reconstruction_error"},
    Tag{"lr", "lr"},
    Tag{"epoch", "epoch"},
    Tag{"samples_per_s", "samples_per_second"},
    Tag{"peak_memory_mib", "peak_memory_mib"},
    Tag{"skipped_steps", "skipped_steps"}};

constexpr std::array validation_tags{
    Tag{"bits_per_dim", "val/bits_per_dim"},
    Tag{"standard_error_bits_per_dim", "val/standard_error_bits_per_dim"},
    Tag{"log_likelihood_pixel_nats", "val/log_likelihood_nats"}, Tag{"accuracy", "val/accuracy"},
    Tag{"inverse_error", "val/inverse_error"}};

}  // namespace

void EventLog::add_line(const nlohmann::json& line) {
  const auto step = line.at("step").get<std::int64_t>();
  const auto add = [&](const Tag& tag) {
    const auto found = line.find(tag.key);
    if (found == line.end() || !found->is_number()) return;
    const double value = found->get<double>();
    if (std::isfinite(value)) file_.scalar(step, tag.tag, value);
  };
  if (line.at("kind") == "train") {
    for (const Tag& tag : training_tags) add(tag);
  } else {
    for (const Tag& tag : validation_tags) add(tag);
  }
}

void EventLog::add_grid(std::int64_t step, const std::string& png) {
  if (!png.empty()) file_.image(step, "samples", png);
}

}  // namespace relgrad
