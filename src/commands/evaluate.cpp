#include "commands/evaluate.hpp"

#include "commands/evaluation_task.hpp"

namespace relgrad {

int evaluate(const EvaluateOptions& options, const mpi::Communicator& comm) {
  check_report_place(options, comm);
  const EvaluationTask task = open_task(options, comm);
  const Evaluation evaluation = evaluate_task(options, task, comm);
  return print(options, task, evaluation, comm);
}

}  // namespace relgrad
