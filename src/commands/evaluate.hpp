#pragma once
/// What a trained model makes of a split: `relgrad evaluate`, `score` and `encode`.
#include <cstdint>
#include <string>

#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

struct EvaluateOptions {
  std::string run;         // run directory: its best checkpoint, or
  std::string checkpoint;  // a checkpoint directory
  std::string data;        // data set directory
  std::string split = "test";
  std::int64_t draws = 1;  // of dequantization noise; a sample's log-likelihood is their mean
  std::string json;        // file, or - for standard output
  std::int64_t batch_size = 500;
  std::int64_t threads = 1;     // per rank
  std::int64_t row_groups = 1;  // ranks that share every W; 0: all
  std::uint64_t seed = 1;       // of the noise
  std::string products = "auto";
};

/// Collective. Returns the exit code of the process. @throws Error on every rank together.
int evaluate(const EvaluateOptions& options, const mpi::Communicator& comm);

struct ScoreOptions : EvaluateOptions {
  std::string output;     // .h5 file to make
  bool ood = false;       // also scores of outliers
  std::string reference;  // data set that the model was trained on; empty: `data`
};

/// Collective. Writes the log-likelihood of every sample, and scores of outliers where wanted.
/// @throws Error on every rank together.
int score(const ScoreOptions& options, const mpi::Communicator& comm);

struct EncodeOptions : EvaluateOptions {  // draws: 1, no json
  std::string output;                     // .h5 file to make
};

/// Collective. Writes z = f(x) of every sample, of the first draw of the noise; no rank ever has
/// more than two batches of them. @throws Error on every rank together.
int encode(const EncodeOptions& options, const mpi::Communicator& comm);

}  // namespace relgrad
