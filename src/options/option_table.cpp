#include "options/option_table.hpp"

#include <fmt/format.h>

#include <utility>

#include "options/option_value.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/core/log.hpp"
#include "relgrad/model/model_line.hpp"

namespace relgrad {

namespace {

using enum OnResume;
using Rows = std::vector<OptionDescription>;
using Integer = std::int64_t;

/// A number of type Integer, std::uint64_t or double; the default is the example in errors.
template <class Number>
OptionDescription number(const std::string& name, Number TrainOptions::*field,
                         const Limits<Number>& range, const std::string& unit,
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

/// An option of an earlier version, still accepted so that old option files are read.
OptionDescription retired(const std::string& name, const std::string& since) {
  OptionDescription row{name, "", "TEXT", "", "", "retired", free, {}, {}};
  row.is_retired = true;
  row.set = [=](TrainOptions&, const std::string&) {
    log_warning(fmt::format("--{}: {}; the option has no effect, remove it", name, since));
  };
  row.get = [](const TrainOptions&) { return std::string(); };
  return row;
}

OptionDescription model_line_option() {
  OptionDescription row{"model",
                        "",
                        "LINE",
                        "",
                        "layers in order, or a name",
                        "the layers in one line, in place of --layers, --activation and "
                        "--last-activation: e.g. \"spectral 3*(conv:3 spline:8) squeeze "
                        "3*(conv:3 spline:8)\"; names: snf-conv, glow:LEVELSxSTEPS[:HIDDEN], "
                        "conv-coupling:LEVELSxSTEPS[:HIDDEN] "
                        "(docs/models.md)",
                        frozen,
                        {},
                        {}};
  row.set = [](TrainOptions& options, const std::string& text) {
    if (!text.empty()) parse_model_line(text);  // throws
    options.model = text;
  };
  row.get = [](const TrainOptions& options) { return options.model; };
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

const Limits<double> fraction{.least = 0, .most = 1, .most_allowed = false};

Rows place_rows() {
  using O = TrainOptions;
  return {
      path("data", &O::data, "DIR", "a directory", "data set made by relgrad prepare"),
      path("run", &O::run, "DIR", "a directory",
           "run directory to create, for options, metrics and checkpoints"),
      path("resume", &O::resume, "HOW", "never | auto | a checkpoint directory",
           "auto: continue from the newest good checkpoint in --run, or start if there is none"),
  };
}

Rows model_rows() {
  using O = TrainOptions;
  const std::vector<std::string> kinds{"spline", "smooth-leaky-relu", "leaky-tanh", "none"};
  std::vector<std::string> last{"auto"};
  last.insert(last.end(), kinds.begin(), kinds.end());
  return {
      model_line_option(),
      number("layers", &O::layers, Limits<Integer>{.least = 1, .most = 1000}, "layers",
             "number of linear layers; each has a full D x D matrix and a bias", frozen),
      choice("activation", &O::activation, kinds, "element-wise map between linear layers", frozen),
      choice("last-activation", &O::last_activation, last,
             "element-wise map after the last linear layer; auto: spline if --activation is "
             "spline, else none",
             frozen),
      number("leaky-slope", &O::leaky_slope,
             Limits<double>{.least = 0, .most = 1, .least_allowed = false, .most_allowed = false},
             "",
             "slope a of the smooth leaky ReLU a y + (1-a) log(1+e^y); slope c of the leaky tanh "
             "tanh(a y) + c y",
             frozen),
      number("tanh-scale", &O::tanh_scale, above(0.0), "",
             "scale a of the leaky tanh tanh(a y) + c y", frozen),
      number("spline-bins", &O::spline_bins, Limits<Integer>{.least = 2, .most = 128}, "bins",
             "number of bins of each dimension's monotone rational-quadratic spline", frozen),
      number("spline-bound", &O::spline_bound, above(0.0), "",
             "splines bend within [-bound, bound] and are linear outside", frozen),
      boolean(
          "marginal", &O::marginal,
          "map every dimension to a standard normal first, by its empirical distribution function",
          frozen),
      number("marginal-pseudo-count", &O::marginal_pseudo_count, above(0.0), "samples",
             "with --marginal and 8-bit data: count added to each of the 256 levels of a dimension",
             frozen),
      choice("transform", &O::transform, {"auto", "logit", "standardize", "none"},
             "with --no-marginal: fixed map before the first layer; auto: logit for 8-bit data, "
             "standardize for real data",
             frozen),
      number("logit-a", &O::logit_a,
             Limits<double>{.least = 0, .most = 0.5, .least_allowed = false, .most_allowed = false},
             "", "a of the logit transform logit(a + (1 - 2a) u), u in (0, 1)", frozen),
      choice("latent", &O::latent, {"normal", "logistic", "hyperbolic-secant", "laplace"},
             "density of each latent coordinate", frozen),
      boolean("conditional", &O::conditional,
              "give every class of the data its own mean and scale of the latent density "
              "(docs/labels.md)",
              frozen),
      number("class-weight", &O::class_weight, at_least(0.0), "",
             "with --conditional: weight of log p(label | x) beside log p(x | label) in what "
             "training maximises; more than 0: a higher accuracy, a lower likelihood",
             resumable),
      choice(
          "init", &O::init, {"identity", "orthogonal", "whitening", "kinked"},
          "initial weights; identity: with noise (--init-noise); orthogonal: random linear layers; "
          "whitening: identity, but the first layer, linear or spectral, decorrelates the "
          "training data; kinked: identity, scaled so that smooth leaky ReLUs bend where that "
          "fits each dimension best and later layers have outputs of variance 1",
          frozen),
      number(
          "init-noise", &O::init_noise, at_least(0.0), "",
          "with --init identity: standard deviation of the noise on the weights of linear layers "
          "and convolutions, in units of 1/sqrt(inputs of an output), which is 1/sqrt(D)",
          frozen),
      choice("precision", &O::precision, {"float32", "float64"},
             "number type of parameters and matrix products", frozen),
  };
}

Rows gradient_rows() {
  using O = TrainOptions;
  return {
      choice("gradient", &O::gradient, {"relative", "self-normalizing", "plain"},
             "gradient estimator; relative: exact, O(B D^2) per step; self-normalizing: O(B D^2), "
             "with a learned inverse of every linear layer and convolution; plain: exact, O(D^3), "
             "for comparison",
             resumable),
      number("inverse-every", &O::inverse_every, at_least<Integer>(1), "steps",
             "with --gradient plain: steps between two inversions of W; 1: the exact gradient",
             resumable),
      choice("reconstruction", &O::reconstruction, {"one-sided", "symmetric", "newton"},
             "with --gradient self-normalizing: how the learned inverse R follows W; one-sided: by "
             "the error of R W x against x; symmetric: also by that of W R z against z; newton: by "
             "Newton's iteration",
             resumable),
      number("newton-rows", &O::newton_rows, at_least<Integer>(0), "rows",
             "with --reconstruction newton: rows of R updated per step, in turn; 0: as many as the "
             "global batch has samples",
             resumable),
      number("reconstruction-weight", &O::reconstruction_weight, at_least(0.0), "",
             "with --gradient self-normalizing: weight lambda of the squared reconstruction error",
             resumable),
      number("geco-tolerance", &O::geco_tolerance, at_least(0.0), "",
             "with --gradient self-normalizing: mean squared reconstruction error per sample above "
             "which a layer's lambda grows and below which it falls; 0: lambda stays fixed",
             resumable),
      choice("optimizer", &O::optimizer, {"adam", "natural", "momentum", "sgd"},
             "update rule; natural: sgd on the relative gradient scaled by the diagonals of its "
             "Fisher information, adam for splines, no moments of weights",
             frozen),
      number("lr", &O::lr, above(0.0), "", "peak learning rate of all parameters but splines",
             resumable),
      number("spline-lr", &O::spline_lr, at_least(0.0), "", "peak learning rate of splines",
             resumable),
      number("momentum", &O::momentum, fraction, "",
             "with --optimizer momentum: decay of the running sum of gradients", resumable),
      number("beta1", &O::beta1, fraction, "",
             "with --optimizer adam: decay of the running mean of gradients", resumable),
      number("beta2", &O::beta2, fraction, "",
             "with --optimizer adam: decay of the running mean of squared gradients", resumable),
      number("epsilon", &O::epsilon, above(0.0), "",
             "with --optimizer adam: added to the square root of the second moment", resumable),
      number("weight-decay", &O::weight_decay, at_least(0.0), "",
             "decoupled weight decay: every step subtracts lr * weight-decay * w from w; 0: off",
             resumable),
      number("clip-norm", &O::clip_norm, at_least(0.0), "",
             "longest gradient norm; a longer gradient is scaled down to it; 0: off", resumable),
      choice("schedule", &O::schedule, {"cosine", "constant"},
             "learning rate after the warm-up; cosine: falls to zero at the end of the run",
             resumable),
      number("warmup", &O::warmup, at_least<Integer>(0), "steps",
             "number of first steps during which the learning rate rises linearly from zero",
             resumable),
      choice("track-log-det", &O::track_log_det, {"auto", "on", "off"},
             "follow log|det W| exactly at every step without LU, so that metrics.jsonl has the "
             "training log-likelihood; needs --optimizer sgd or natural and --gradient relative; "
             "auto: if it costs at most 3 % of a step",
             free),
  };
}

Rows budget_rows() {
  using O = TrainOptions;
  return {
      number("batch-size", &O::batch_size, Limits<Integer>{.least = 1, .most = 1 << 24}, "samples",
             "samples per step, of all ranks together", resumable),
      number("epochs", &O::epochs, Limits<Integer>{.least = 1, .most = 1000000000}, "epochs",
             "passes over the training split", resumable),
      number("max-steps", &O::max_steps, at_least<Integer>(0), "steps",
             "end after this many steps; 0: --epochs decides", resumable),
      number("max-seconds", &O::max_seconds, at_least(0.0), "s",
             "save a checkpoint and stop with exit code 0 after this time; 0: no limit", free),
      number("stop-margin-seconds", &O::stop_margin_seconds, at_least(0.0), "s",
             "under SLURM: save a checkpoint and stop this long before the allocation ends, plus "
             "the time of the longest step and save; 0: off",
             free),
      number("patience", &O::patience, at_least<Integer>(0), "evaluations",
             "end after this many validations without a new best one; 0: off", resumable),
      number("seed", &O::seed, Limits<std::uint64_t>{}, "",
             "seed of the initial weights, the order of samples and the noise", frozen),
  };
}

Rows trouble_rows() {
  using O = TrainOptions;
  return {
      choice("on-nonfinite", &O::on_nonfinite, {"stop", "skip", "rollback"},
             "what to do when a log-likelihood is NaN or infinite; stop: end with exit code 5; "
             "skip: leave the batch out; rollback: restore the weights of the newest checkpoint "
             "and continue with the next batch",
             resumable),
      number("watchdog-seconds", &O::watchdog_seconds, at_least(0.0), "s",
             "end the job with exit code 7 when a rank makes no progress for this long; must "
             "exceed the longest step, save and log|det W|; 0: off",
             free),
  };
}

Rows parallel_rows() {
  using O = TrainOptions;
  return {
      choice("exchange", &O::exchange, {"auto", "dense", "sharded", "factor", "gathered", "row"},
             "how ranks combine their gradients; row: ranks share every W by columns; auto: the "
             "fastest by a cost model, with rates measured at the start, changed if steps take "
             "longer than another was predicted to (by a formula if D < 512 or with "
             "--deterministic)",
             resumable),
      number(
          "row-groups", &O::row_groups, Limits<Integer>{.least = 0, .most = 1 << 20}, "ranks",
          "with --exchange row: number of ranks that share every W, a divisor of all; 0: all ranks",
          resumable),
      retired("overlap", "gained less than 10 % of a step, and is gone since 0.2"),
      number("threads", &O::threads, Limits<Integer>{.least = 1, .most = 1024}, "threads",
             "threads per rank", free),
      choice("products", &O::products, {"auto", "openblas", "onednn", "ordered"},
             "library for matrix products; auto: the fastest for each shape, measured at the "
             "start; ordered: relgrad's own, with the same bits for any number of threads",
             resumable),
      choice("compute", &O::compute, {"float32", "bf16"},
             "number type of the operands of matrix products; bf16: rounded to 8 bits of mantissa "
             "and summed in float32, while weights and moments stay float32; faster only on CPUs "
             "with AVX512-BF16 or AMX, and not with --products ordered; products of fewer than 32 "
             "samples are rounded only by ordered",
             resumable),
      boolean("deterministic", &O::deterministic,
              "produce the same bits for any number of ranks and threads, also when a run is "
              "resumed on another number",
              resumable),
  };
}

Rows run_directory_rows() {
  using O = TrainOptions;
  return {
      number("save-every-seconds", &O::save_every_seconds, above(0.0), "s",
             "time between checkpoints; the end of a run is always saved", free),
      boolean("background-save", &O::background_save,
              "write checkpoints from a copy while training continues; a rank with less free "
              "memory than twice the copy writes at once",
              free),
      number("eval-every", &O::eval_every, at_least<Integer>(1), "epochs",
             "epochs between validations", free),
      number(
          "eval-samples", &O::eval_samples, at_least<Integer>(0), "samples",
          "number of validation samples used during training, drawn from the whole split; 0: all",
          resumable),
      choice("sample-grids", &O::sample_grids, {"auto", "on", "off"},
             "after every validation, draw 36 images from the same latent vectors into "
             "RUN/samples; auto: if the exact inverse takes less than 2 % of the steps between two "
             "validations, or one is learned",
             free),
      boolean("tensorboard", &O::tensorboard,
              "also write metrics and sample grids as event files of TensorBoard into RUN", free),
      number("keep-last", &O::keep_last, Limits<Integer>{.least = 2, .most = 1000000},
             "checkpoints", "number of newest checkpoints to keep", free),
      number("keep-every", &O::keep_every, at_least<Integer>(0), "checkpoints",
             "every n-th checkpoint is kept for good; 0: none", free),
      number("log-every", &O::log_every, at_least<Integer>(0), "steps",
             "steps between lines of metrics.jsonl; 0: about 50 lines per epoch", free),
  };
}

std::vector<OptionDescription> make_table() {
  const std::vector<std::pair<std::string, Rows>> groups{
      {"Data and run", place_rows()},
      {"Model", model_rows()},
      {"Gradient and optimizer", gradient_rows()},
      {"Budget", budget_rows()},
      {"Failures", trouble_rows()},
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

bool OptionDescription::is_same_on_ranks() const {
  // Free, but each of these decides which collective calls a rank makes.
  return on_resume != free || name == "eval-every" || name == "track-log-det" ||
         name == "overlap" || name == "background-save";
}

const std::vector<OptionDescription>& train_option_table() {
  static const std::vector<OptionDescription> table = make_table();
  return table;
}

std::map<std::string, std::string> to_map(const TrainOptions& options) {
  std::map<std::string, std::string> texts;
  for (const OptionDescription& row : train_option_table()) {
    if (!row.is_retired) texts[row.name] = row.get(options);
  }
  return texts;
}

std::vector<std::string> compare_on_resume(const TrainOptions& now,
                                           const std::map<std::string, std::string>& saved) {
  std::vector<std::string> changes;
  for (const OptionDescription& row : train_option_table()) {
    const auto old = saved.find(row.name);
    const std::string text = row.get(now);
    if (row.is_retired || row.on_resume == free || old == saved.end() || old->second == text)
      continue;
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
