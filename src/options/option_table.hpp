#pragma once
/// One line per option of train: the single source of --help, of config.ini, of docs/train.md and
/// of the options in a checkpoint's manifest.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "options/options.hpp"

namespace relgrad {

/// What a resume may do with an option: frozen ones must equal the checkpoint's, changed resumable
/// ones are reported (old -> new), free ones (paths, threads, intervals) are not compared.
enum class OnResume { frozen, resumable, free };

struct OptionDescription {
  std::string name;     // "lr": --lr on the command line, lr = in config.ini
  std::string group;    // "Model", "Optimizer", ...: heading in --help
  std::string value;    // what stands after it in --help: "N", "DIR", ...; empty: a switch
  std::string unit;     // "steps", "nats", ...; may be empty
  std::string range;    // "> 0", "0 ... 1", "relative | plain"
  std::string meaning;  // one line
  OnResume on_resume = OnResume::free;
  /// Sets from text. @throws UsageError naming option, value, limit and remedy.
  std::function<void(TrainOptions&, const std::string&)> set;
  /// As text that `set` reads back to the same value.
  std::function<std::string(const TrainOptions&)> get;
  bool is_retired = false;  // accepted with a warning, neither shown nor written
  /// Ranks that differ in it would compute something else, or wait for one another for ever.
  bool is_same_on_ranks() const;
};

const std::vector<OptionDescription>& train_option_table();

/// Every option as name -> text.
std::map<std::string, std::string> to_map(const TrainOptions& options);

/// Checks `now` against the options in a checkpoint. Returns one "name: old -> new" per changed
/// resumable option. @throws UsageError naming the first changed frozen option and both values.
std::vector<std::string> compare_on_resume(const TrainOptions& now,
                                           const std::map<std::string, std::string>& saved);

}  // namespace relgrad
