#include "step/overlapped_update.hpp"

#include <omp.h>

#include <chrono>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

namespace relgrad {

namespace {

/// A matrix of its own, which keeps its memory from step to step.
template <class T>
class Copy {
 public:
  void take(const ConstMatrixMap<T>& matrix) {
    numbers_.assign(matrix.data(), matrix.data() + matrix.size());
    rows_ = matrix.rows();
    cols_ = matrix.cols();
  }
  ConstMatrixMap<T> map() const { return {numbers_.data(), rows_, cols_}; }

 private:
  std::vector<T> numbers_;
  Index rows_ = 0;
  Index cols_ = 0;
};

/// An outer product to come.
template <class T>
struct Product {
  ParameterId id = 0;
  Copy<T> left;
  Copy<T> right;
  PerSampleTerm<T> term;

  void take(const OuterProduct<T>& product) {
    id = product.id;
    left.take(product.left);
    right.take(product.right);
    term = product.term;
  }
  OuterProduct<T> outer_product() const { return {id, left.map(), right.map(), term}; }
};

/// One call of the backward pass, and what relative() said before it.
template <class T>
struct Call {
  Product<T> first;
  Product<T> second;
  bool has_second = false;
  Copy<T> outputs;
  const T* row_factor = nullptr;
  bool is_relative = false;
};

template <class T>
class OverlappedUpdate final : public Update<T> {
 public:
  OverlappedUpdate(std::unique_ptr<Update<T>> update, const ParameterStore<T>& store,
                   Exchange<T>& exchange, bool tracks)
      : update_(std::move(update)),
        store_(&store),
        exchange_(&exchange),
        tracks_(tracks),
        thread_([this, threads = omp_get_max_threads()] { work(threads); }) {}

  /// Calls that were not begun are dropped.
  ~OverlappedUpdate() override {
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  OverlappedUpdate(const OverlappedUpdate&) = delete;
  OverlappedUpdate& operator=(const OverlappedUpdate&) = delete;

  void begin(const StepNumbers& numbers) override {
    wait();  // for what a backward pass left that did not come to its end
    {
      const std::lock_guard lock(mutex_);
      trouble_ = nullptr;
      given_ = 0;
      done_ = 0;
    }
    update_->begin(numbers);
  }

  std::span<T> sum(ParameterId id) override { return update_->sum(id); }
  std::optional<ExactSums> exact(ParameterId id, std::size_t size) override {
    return update_->exact(id, size);
  }
  void per_sample(ParameterId id, const PerSampleTerm<T>& term) override {
    update_->per_sample(id, term);
  }
  std::optional<RelativeScales<T>> relative_scales(ParameterId bias) override {
    return update_->relative_scales(bias);
  }
  void add_squares(ParameterId bias, const ConstMatrixMap<T>& delta,
                   const ConstMatrixMap<T>& outputs, Index begin) override {
    update_->add_squares(bias, delta, outputs, begin);
  }

  void relative(const ConstMatrixMap<T>& /*delta*/, const ConstMatrixMap<T>& outputs,
                const T* row_factor) override {
    if (!tracks_) return;
    Call<T>& call = next();  // whose left is delta
    call.outputs.take(outputs);
    call.row_factor = row_factor;
    call.is_relative = true;
  }

  void outer_product(ParameterId id, const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const PerSampleTerm<T>& term) override {
    Call<T>& call = next();
    call.first.take({id, left, right, term});
    call.has_second = false;
    give();
    if (!is_kept(term)) wait();
  }

  void outer_products(const OuterProduct<T>& first, const OuterProduct<T>& second) override {
    Call<T>& call = next();
    call.first.take(first);
    call.second.take(second);
    call.has_second = true;
    give();
    if (!is_kept(first.term) || !is_kept(second.term)) wait();
  }

  void finish() override {
    wait();
    const ExchangeCost cost = exchange_->take_cost();
    overlapped_.exchange.seconds += cost.seconds;
    overlapped_.exchange.bytes_sent += cost.bytes_sent;
    if (trouble_) std::rethrow_exception(std::exchange(trouble_, nullptr));
    const double before = update_->optimizer_seconds();
    update_->finish();
    this->optimizer_seconds_ += update_->optimizer_seconds() - before;
    this->log_abs_det_change_ = update_->log_abs_det_change();
  }

  Overlapped take_overlapped() override { return std::exchange(overlapped_, {}); }

 private:
  /// Whether the matrix of `term` stays after the call that names it.
  bool is_kept(const PerSampleTerm<T>& term) const {
    const std::span<const T> all = store_->flat();
    const std::less_equal<const T*> before;
    return term.matrix == nullptr ||
           (before(all.data(), term.matrix) && before(term.matrix, all.data() + all.size()));
  }

  /// The call to be filled in: the n-th of a step has the memory of the n-th of the step before.
  Call<T>& next() {
    const std::lock_guard lock(mutex_);
    if (given_ == calls_.size()) calls_.emplace_back();  // moves none, as the thread reads one
    return calls_[given_];
  }
  void give() {
    {
      const std::lock_guard lock(mutex_);
      ++given_;
    }
    wake_.notify_one();
  }
  /// Until everything given is done.
  void wait() {
    using Clock = std::chrono::steady_clock;
    const auto start = Clock::now();
    std::unique_lock lock(mutex_);
    idle_.wait(lock, [this] { return done_ == given_; });
    overlapped_.waited += std::chrono::duration<double>(Clock::now() - start).count();
  }

  void work(int threads) {
    omp_set_num_threads(threads);
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [this] { return ends_ || done_ < given_; });
      if (ends_) return;
      Call<T>& call = calls_[done_];
      const bool is_wanted = !trouble_;  // after an error ranks may no longer be at the same call
      lock.unlock();
      std::exception_ptr trouble;
      try {
        if (is_wanted) pass_on(call);
      } catch (...) {
        trouble = std::current_exception();
      }
      call.is_relative = false;
      lock.lock();
      if (trouble) trouble_ = trouble;
      ++done_;
      if (done_ == given_) idle_.notify_one();
    }
  }

  void pass_on(const Call<T>& call) {
    const OuterProduct<T> first = call.first.outer_product();
    if (call.is_relative) update_->relative(first.left, call.outputs.map(), call.row_factor);
    if (call.has_second) {
      update_->outer_products(first, call.second.outer_product());
    } else {
      update_->outer_product(first.id, first.left, first.right, first.term);
    }
  }

  std::unique_ptr<Update<T>> update_;
  const ParameterStore<T>* store_;
  Exchange<T>* exchange_;
  bool tracks_;
  Overlapped overlapped_;

  std::mutex mutex_;  // of all that follows; a call itself is the thread's from give() to done_
  std::condition_variable wake_;
  std::condition_variable idle_;
  std::deque<Call<T>> calls_;
  std::size_t given_ = 0;  // of this step
  std::size_t done_ = 0;
  std::exception_ptr trouble_;
  bool ends_ = false;
  std::thread thread_;  // last: it starts when the rest is there
};

}  // namespace

template <class T>
std::unique_ptr<Update<T>> make_overlapped_update(std::unique_ptr<Update<T>> update,
                                                  const ParameterStore<T>& store,
                                                  Exchange<T>& exchange, bool tracks) {
  return std::make_unique<OverlappedUpdate<T>>(std::move(update), store, exchange, tracks);
}

template std::unique_ptr<Update<float>> make_overlapped_update(std::unique_ptr<Update<float>>,
                                                               const ParameterStore<float>&,
                                                               Exchange<float>&, bool);
template std::unique_ptr<Update<double>> make_overlapped_update(std::unique_ptr<Update<double>>,
                                                                const ParameterStore<double>&,
                                                                Exchange<double>&, bool);

}  // namespace relgrad
