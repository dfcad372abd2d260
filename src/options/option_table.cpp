#include "options/option_table.hpp"

#include <fmt/format.h>

#include <utility>

#include "options/option_value.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

using enum OnResume;
using Rows = std::vector<OptionDescription>;
using Integer = std::int64_t;

/// A number of type Integer, std::uint64_t or double; the default is the example in errors.
template <class Number>
OptionDescription number(const std::string& name, Number TrainOptions::*field,
                         const Range<Number>& range, const std::string& unit,
                         const std::string& meaning, OnResume on_resume) {
  OptionDescription row{name,      "",           std::is_integral_v<Number> ? "N" : "X",
                        unit,      range.text(), meaning,
                        on_resume, {},           {}};
  row.set = [=](TrainOptions& options, const std::string& text) {
    options.*field = read_number(name, text, range, TrainOptions{}.*field);
  };
  row.get = [=](const TrainOptions& options) { return number_text(options.*field); };
  return row;
}

OptionDescription choice(const std::string& name, std::string TrainOptions::*field,
                         const std::vector<std::string>& choices, const std::string& meaning,
                         OnResume on_resume) {
  OptionDescription row{name, "", "NAME", "", choices_text(choices), meaning, on_resume, {}, {}};
  row.set = [=](TrainOptions& options, const std::string& text) {
    options.*field = read_choice(name, text, choices);
  };
  row.get = [=](const TrainOptions& options) { return options.*field; };
  return row;
}

OptionDescription path(const std::string& name, std::string TrainOptions::*field,
                       const std::string& value, const std::string& range,
                       const std::string& meaning) {
  OptionDescription row{name, "", value, "", range, meaning, free, {}, {}};
  row.set = [=](TrainOptions& options, const std::string& text) {
    options.*field = read_path(name, text);
  };
  row.get = [=](const TrainOptions& options) { return options.*field; };
  return row;
}

OptionDescription boolean(const std::string& name, bool TrainOptions::*field,
                          const std::string& meaning, OnResume on_resume) {
  OptionDescription row{name, "", "", "", "true | false", meaning, on_resume, {}, {}};
  row.set = [=](TrainOptions& options, const std::string& text) {
    options.*field = read_boolean(name, text);
  };
  row.get = [=](const TrainOptions& options) { return options.*field ? "true" : "false"; };
  return row;
}

const Range<double> fraction{.least = 0, .most = 1, .most_allowed = false};

Rows place_rows() {
  using O = TrainOptions;
  return {
      path("data", &O::data, "DIR", "a directory", "data set written by relgrad prepare"),
      path("run", &O::run, "DIR", "a directory",
           "run directory to make: options, metrics, checkpoints"),
      path("resume", &O::resume, "HOW", "never | auto | a checkpoint directory",
           "auto: go on from the newest good checkpoint of --run, or start if there is none"),
  };
}

Rows model_rows() {
  using O = TrainOptions;
  const std::vector<std::string> kinds{"spline", "smooth-leaky-relu", "leaky-tanh", "none"};
  std::vector<std::string> last{"auto"};
  last.insert(last.end(), kinds.begin(), kinds.end());
  return {
      number("layers", &O::layers, Range<Integer>{.least = 1, .most = 1000}, "layers",
             "linear layers, each with a full D x D matrix and a bias", frozen),
      choice("activation", &O::activation, kinds, "element-wise map between linear layers", frozen),
      choice("last-activation", &O::last_activation, last,
             "map after the last linear layer; auto: spline after splines, else none", frozen),
      number("leaky-slope", &O::leaky_slope,
             Range<double>{.least = 0, .most = 1, .least_allowed = false, .most_allowed = false},
             "", "a of a y + (1-a) log(1+e^y); c of tanh(a y) + c y", frozen),
      number("tanh-scale", &O::tanh_scale, above(0.0), "", "a of leaky-tanh: tanh(a y) + c y",
             frozen),
      number("spline-bins", &O::spline_bins, Range<Integer>{.least = 2, .most = 128}, "bins",
             "bins of each dimension's monotone rational-quadratic spline", frozen),
      number("spline-bound", &O::spline_bound, above(0.0), "",
             "splines act on [-bound, bound] and are linear outside", frozen),
      boolean("marginal", &O::marginal,
              "give every dimension a normal marginal first, by its empirical distribution",
              frozen),
      number("marginal-pseudo-count", &O::marginal_pseudo_count, above(0.0), "samples",
             "added to each of the 256 levels of each dimension (--marginal)", frozen),
      choice("transform", &O::transform, {"auto", "logit", "standardize", "none"},
             "with --no-marginal; auto: logit for 8-bit data, standardize for real data", frozen),
      number("logit-a", &O::logit_a,
             Range<double>{.least = 0, .most = 0.5, .least_allowed = false, .most_allowed = false},
             "", "logit(a + (1 - 2a) u), u in (0, 1)", frozen),
      choice("latent", &O::latent, {"normal", "logistic", "hyperbolic-secant", "laplace"},
             "density of each latent coordinate", frozen),
      choice("init", &O::init, {"identity", "orthogonal", "whitening", "kinked"},
             "start of the linear layers; whitening: identity, but the first decorrelates the "
             "training data; kinked: identity, scaled so that smooth leaky ReLUs bend where that "
             "fits each dimension best, later layers with outputs of variance 1",
             frozen),
      number("init-noise", &O::init_noise, at_least(0.0), "",
             "identity start: standard deviation of noise on W, times 1/sqrt(D)", frozen),
      choice("precision", &O::precision, {"float32", "float64"}, "of parameters and products",
             frozen),
  };
}

Rows gradient_rows() {
  using O = TrainOptions;
  return {
      choice("gradient", &O::gradient, {"relative", "self-normalizing", "plain"},
             "relative: O(B D^2) a step; self-normalizing: likewise, with a learned inverse of "
             "every W; plain: with the inverse of W, O(D^3), for comparison",
             resumable),
      number("inverse-every", &O::inverse_every, at_least<Integer>(1), "steps",
             "of --gradient plain: between two inverses of W; 1: the exact gradient", resumable),
      choice("reconstruction", &O::reconstruction, {"one-sided", "symmetric", "newton"},
             "of self-normalizing: R learns by the error of R W x against x; symmetric: of W R z "
             "against z as well; newton: R follows W by Newton's iteration",
             resumable),
      number("newton-rows", &O::newton_rows, at_least<Integer>(0), "rows",
             "of --reconstruction newton: of R, that follow W in each step, in turn; 0: as many as "
             "a global batch has samples",
             resumable),
      number("reconstruction-weight", &O::reconstruction_weight, at_least(0.0), "",
             "of self-normalizing: lambda, weight of the squared reconstruction error", resumable),
      number(
          "geco-tolerance", &O::geco_tolerance, at_least(0.0), "",
          "of self-normalizing: lambda grows while a layer's mean squared reconstruction error a "
          "sample is above this, and falls below it; 0: fixed",
          resumable),
      choice("optimizer", &O::optimizer, {"adam", "natural", "momentum", "sgd"},
             "update rule; natural: sgd along the relative gradient scaled by the diagonals of its "
             "Fisher information, adam for splines; no moments of weights",
             frozen),
      number("lr", &O::lr, above(0.0), "", "learning rate of linear layers, at its peak",
             resumable),
      number("spline-lr", &O::spline_lr, at_least(0.0), "", "learning rate of splines, at its peak",
             resumable),
      number("momentum", &O::momentum, fraction, "", "of --optimizer momentum", resumable),
      number("beta1", &O::beta1, fraction, "", "adam: decay of the mean of gradients", resumable),
      number("beta2", &O::beta2, fraction, "", "adam: decay of the mean of squared gradients",
             resumable),
      number("epsilon", &O::epsilon, above(0.0), "", "adam: added to the root of the second moment",
             resumable),
      number("weight-decay", &O::weight_decay, at_least(0.0), "",
             "decoupled: w shrinks by lr * weight-decay * w a step; 0: off", resumable),
      number("clip-norm", &O::clip_norm, at_least(0.0), "",
             "gradients longer than this are shortened to it; 0: off", resumable),
      choice("schedule", &O::schedule, {"cosine", "constant"},
             "learning rate after warm-up; cosine falls to zero at the end of the run", resumable),
      number("warmup", &O::warmup, at_least<Integer>(0), "steps",
             "learning rate rises linearly from zero over the first steps", resumable),
      choice("track-log-det", &O::track_log_det, {"auto", "on", "off"},
             "exact log|det| at every step without LU, so that metrics.jsonl has the training "
             "log-likelihood: sgd or natural on the relative gradient; auto: where it costs 3 % of "
             "a step or "
             "less",
             free),
  };
}

Rows budget_rows() {
  using O = TrainOptions;
  return {
      number("batch-size", &O::batch_size, Range<Integer>{.least = 1, .most = 1 << 24}, "samples",
             "of all ranks together, a step", resumable),
      number("epochs", &O::epochs, Range<Integer>{.least = 1, .most = 1000000000}, "epochs",
             "passes over the training split", resumable),
      number("max-steps", &O::max_steps, at_least<Integer>(0), "steps",
             "stop after this many; 0: --epochs decides", resumable),
      number("max-seconds", &O::max_seconds, at_least(0.0), "s",
             "save a checkpoint and end after this long; 0: no limit", free),
      number("stop-margin-seconds", &O::stop_margin_seconds, at_least(0.0), "s",
             "under SLURM: save a checkpoint and end this long before the allocation does, on top "
             "of the longest step and save; 0: do not",
             free),
      number("patience", &O::patience, at_least<Integer>(0), "evaluations",
             "end after this many validations without a better one; 0: off", resumable),
      number("seed", &O::seed, Range<std::uint64_t>{}, "",
             "of the start, the order of samples and the noise", frozen),
  };
}

Rows trouble_rows() {
  using O = TrainOptions;
  return {
      choice("on-nonfinite", &O::on_nonfinite, {"stop", "skip", "rollback"},
             "a log-likelihood is NaN or infinite; stop: exit code 5; skip: leave the batch out; "
             "rollback: weights of the newest checkpoint, on with the next batch",
             resumable),
      number("watchdog-seconds", &O::watchdog_seconds, at_least(0.0), "s",
             "a rank without progress for so long ends the job with exit code 7; more than the "
             "longest step, save and log|det W|; 0: off",
             free),
  };
}

Rows parallel_rows() {
  using O = TrainOptions;
  return {
      choice(
          "exchange", &O::exchange, {"auto", "dense", "sharded", "factor", "row"},
          "how ranks sum their gradients; row: ranks share every W by columns; auto: the fastest "
          "by a model of its cost, with rates measured at the start (D from 512 on; below, and "
          "with --deterministic, by a formula)",
          resumable),
      number("row-groups", &O::row_groups, Range<Integer>{.least = 0, .most = 1 << 20}, "ranks",
             "with --exchange row: ranks that share every W, a divisor of all; 0: all ranks",
             resumable),
      choice(
          "overlap", &O::overlap, {"auto", "on", "off"},
          "sum and apply a layer's gradient in a thread of its own, while the backward pass goes "
          "on; auto: with several ranks, each with a CPU more than --threads; not with "
          "--exchange row or --clip-norm",
          free),
      number("threads", &O::threads, Range<Integer>{.least = 1, .most = 1024}, "threads",
             "per rank", free),
      choice("products", &O::products, {"auto", "openblas", "onednn", "ordered"},
             "matrix products; auto: for each shape the fastest, measured at the start; ordered: "
             "relgrad's own, whose bits depend on nothing but the numbers",
             resumable),
      choice("compute", &O::compute, {"float32", "bf16"},
             "operands of matrix products; bf16: rounded to 8 bits of mantissa and summed in "
             "float32, weights and moments stay float32; faster on CPUs with AVX512-BF16 or AMX, "
             "the same numbers at no gain elsewhere and with --products ordered",
             resumable),
      boolean("deterministic", &O::deterministic,
              "the same bits for any number of ranks and threads, also when a run is resumed on "
              "another number of them",
              resumable),
  };
}

Rows run_directory_rows() {
  using O = TrainOptions;
  return {
      number("save-every-seconds", &O::save_every_seconds, above(0.0), "s",
             "between checkpoints; one is written at the end of the run as well", free),
      boolean(
          "background-save", &O::background_save,
          "write checkpoints beside training, from a copy that takes as much memory as this rank "
          "writes; a rank that has not twice that left writes at once",
          free),
      number("eval-every", &O::eval_every, at_least<Integer>(1), "epochs", "between validations",
             free),
      number("eval-samples", &O::eval_samples, at_least<Integer>(0), "samples",
             "validation samples used during training; 0: all", resumable),
      number("keep-last", &O::keep_last, Range<Integer>{.least = 2, .most = 1000000}, "checkpoints",
             "newest ones that are kept", free),
      number("keep-every", &O::keep_every, at_least<Integer>(0), "checkpoints",
             "every n-th is kept for good; 0: none", free),
      number("log-every", &O::log_every, at_least<Integer>(0), "steps",
             "between lines of metrics.jsonl; 0: about 50 lines an epoch", free),
  };
}

std::vector<OptionDescription> make_table() {
  const std::vector<std::pair<std::string, Rows>> groups{
      {"Where", place_rows()},
      {"Model", model_rows()},
      {"Gradient and optimizer", gradient_rows()},
      {"Budget", budget_rows()},
      {"Trouble", trouble_rows()},
      {"Parallel", parallel_rows()},
      {"Run directory", run_directory_rows()}};
  std::vector<OptionDescription> table;
  for (const auto& [group, rows] : groups) {
    for (OptionDescription row : rows) {
      row.group = group;
      table.push_back(std::move(row));
    }
  }
  return table;
}

}  // namespace

const std::vector<OptionDescription>& train_option_table() {
  static const std::vector<OptionDescription> table = make_table();
  return table;
}

std::map<std::string, std::string> to_map(const TrainOptions& options) {
  std::map<std::string, std::string> texts;
  for (const OptionDescription& row : train_option_table()) texts[row.name] = row.get(options);
  return texts;
}

std::vector<std::string> compare_on_resume(const TrainOptions& now,
                                           const std::map<std::string, std::string>& saved) {
  std::vector<std::string> changes;
  for (const OptionDescription& row : train_option_table()) {
    const auto old = saved.find(row.name);
    const std::string text = row.get(now);
    if (row.on_resume == free || old == saved.end() || old->second == text) continue;
    if (row.on_resume == frozen) {
      throw UsageError(fmt::format(
          "--{}: {} differs from {} in the checkpoint, and a resumed run may not change "
          "it; give --{} {}, or start a new run in another --run directory",
          row.name, text, old->second, row.name, old->second));
    }
    changes.push_back(fmt::format("{}: {} -> {}", row.name, old->second, text));
  }
  return changes;
}

}  // namespace relgrad
