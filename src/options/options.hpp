#pragma once
/// Options of `relgrad train`, with their defaults. options/option_table.hpp gives each its name,
/// unit, range, meaning and what a resume may do with it.
#include <cstdint>
#include <string>

namespace relgrad {

struct TrainOptions {
  // where
  std::string data;              // --data: data set directory
  std::string run;               // --run: run directory
  std::string resume = "never";  // --resume: never | auto | checkpoint directory

  // model (frozen over a resume)
  std::string model;                     // the layers in one line; empty: by the options below
  std::int64_t layers = 2;               // linear layers
  std::string activation = "spline";     // spline | smooth-leaky-relu | leaky-tanh | none
  std::string last_activation = "auto";  // auto (spline after spline, else none) | none | a kind
  double leaky_slope = 0.3;              // a of smooth leaky ReLU, c of leaky tanh
  double tanh_scale = 1.0;               // a of leaky tanh
  std::int64_t spline_bins = 12;
  double spline_bound = 6.0;
  bool marginal = true;  // marginal transform before the first layer
  double marginal_pseudo_count = 0.1;
  std::string transform = "auto";  // without --marginal: auto (8-bit logit, real standardize) |
                                   // logit | standardize | none
  double logit_a = 1e-6;
  std::string latent = "normal";
  bool conditional = false;       // every class has a mean and a scale of the latent density
  double class_weight = 0;        // with conditional: of log p(class | x) in what is maximised
  std::string init = "identity";  // identity | orthogonal | whitening | kinked
  double init_noise = 0.01;
  std::string precision = "float32";  // float32 | float64

  // estimator and optimizer
  std::string gradient = "relative";         // relative | self-normalizing | plain
  std::int64_t inverse_every = 1;            // plain: steps between inverses of W
  std::string reconstruction = "one-sided";  // self-normalizing: one-sided | symmetric | newton
  std::int64_t newton_rows = 0;              // of --reconstruction newton; 0: the batch size
  double reconstruction_weight = 1.0;        // self-normalizing: lambda
  double geco_tolerance = 0.0;               // self-normalizing: lambda follows it; 0: fixed
  std::string optimizer = "adam";            // adam | natural | momentum | sgd
  double lr = 1e-3;
  double spline_lr = 5e-3;
  double momentum = 0.9;
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  double clip_norm = 0.0;              // 0: off
  std::string schedule = "cosine";     // cosine | constant
  std::int64_t warmup = 0;             // steps
  std::string track_log_det = "auto";  // auto | on | off

  // budget
  std::int64_t batch_size = 100;  // GLOBAL batch
  std::int64_t epochs = 10;
  std::int64_t max_steps = 0;        // 0: epochs decide
  double max_seconds = 0;            // 0: no limit
  double stop_margin_seconds = 120;  // before SLURM_JOB_END_TIME; 0: do not look
  std::int64_t patience = 0;         // evaluations without a better one; 0: off
  std::uint64_t seed = 1;

  // trouble
  std::string on_nonfinite = "stop";  // stop | skip | rollback

  double watchdog_seconds = 0;  // 0: off

  // parallel
  std::string exchange = "auto";    // auto | dense | sharded | factor | row
  std::int64_t row_groups = 0;      // with row: ranks that share every W; 0: all
  std::int64_t threads = 1;         // per rank
  std::string products = "auto";    // auto | openblas | onednn | ordered
  std::string compute = "float32";  // operands of products: float32 | bf16
  bool deterministic = false;       // the same bits for any number of ranks and threads

  // run directory
  double save_every_seconds = 900;
  bool background_save = true;    // beside training, from a copy
  std::int64_t eval_every = 1;    // epochs
  std::int64_t eval_samples = 0;  // validation samples used during training; 0: all
  std::int64_t keep_last = 3;
  std::int64_t keep_every = 10;
  std::string sample_grids = "auto";  // auto | on | off
  bool tensorboard = false;
  std::int64_t log_every = 0;  // steps between metrics lines; 0: about 50 an epoch
};

}  // namespace relgrad
