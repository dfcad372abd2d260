/// An evaluation as people and programs read it.
#include <fmt/format.h>

#include "evaluation/evaluation.hpp"

namespace relgrad {

nlohmann::json to_json(const Evaluation& e, std::int64_t step) {
  nlohmann::json json = {{"split", e.split},
                         {"samples", e.samples},
                         {"draws", e.draws},
                         {"nonfinite", e.nonfinite},
                         {"log_likelihood_pixel_nats", e.log_likelihood_pixel_nats},
                         {"log_likelihood_logit_nats", nullptr},
                         {"standard_error_nats", nullptr},
                         {"bits_per_dim", e.bits_per_dim},
                         {"standard_error_bits_per_dim", nullptr},
                         {"log_abs_det_nats", e.log_abs_det_nats},
                         {"seconds", e.seconds},
                         {"step", step}};
  if (e.standard_error_nats) json["standard_error_nats"] = *e.standard_error_nats;
  if (e.standard_error_bits_per_dim) {
    json["standard_error_bits_per_dim"] = *e.standard_error_bits_per_dim;
  }
  if (e.log_likelihood_logit_nats) json["log_likelihood_logit_nats"] = *e.log_likelihood_logit_nats;
  if (e.inverse_error) json["inverse_error"] = *e.inverse_error;
  if (e.classification) json.update(to_json(*e.classification));
  return json;
}

std::string describe(const Evaluation& e, Index dimension, bool is_8_bit) {
  std::string text = fmt::format("{} split: {} samples, {} dequantization draw{}\n", e.split,
                                 e.samples, e.draws, e.draws == 1 ? "" : "s");
  const char* const unit = is_8_bit ? "pixel nats: over 0-255" : "in data units";
  if (e.standard_error_nats) {
    text += fmt::format("  bits per dimension      {:.4f} +- {:.4f} (standard error)\n",
                        e.bits_per_dim, *e.standard_error_bits_per_dim);
    text += fmt::format("  log-likelihood          {:.2f} +- {:.2f} nats ({})\n",
                        e.log_likelihood_pixel_nats, *e.standard_error_nats, unit);
  } else {
    text += fmt::format("  bits per dimension      {:.4f} (no standard error: one sample)\n",
                        e.bits_per_dim);
    text += fmt::format("  log-likelihood          {:.2f} nats ({})\n", e.log_likelihood_pixel_nats,
                        unit);
  }
  if (e.log_likelihood_logit_nats) {
    text += fmt::format("                          {:.2f} nats (logit-space nats)\n",
                        *e.log_likelihood_logit_nats);
  }
  text += fmt::format("  sum of log|det W|       {:.2f} nats over {} dimensions\n",
                      e.log_abs_det_nats, dimension);
  if (e.inverse_error) {
    text += fmt::format("  learned inverses        |RW - I| / sqrt(D) about {:.1e}\n",
                        *e.inverse_error);
  }
  if (e.classification) text += describe(*e.classification);
  if (e.nonfinite > 0) {
    text += fmt::format(
        "  NOT FINITE              {} samples; they are left out of the mean, which is therefore "
        "no "
        "likelihood of this split\n",
        e.nonfinite);
  }
  return text;
}

}  // namespace relgrad
