#include "linalg/fourier.hpp"

#include <fftw3.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/columns.hpp"
#include "relgrad/core/error.hpp"

namespace relgrad {

namespace {

/// FFTW's names in both precisions. Plans are estimated, not measured: measured ones would differ,
/// and with them the last bits, from start to start.
template <class T>
struct Fftw;

template <>
struct Fftw<double> {
  using Plan = fftw_plan;
  using Complex = fftw_complex;
  static void* allocate(std::size_t bytes) { return fftw_malloc(bytes); }
  static void free(void* memory) { fftw_free(memory); }
  static Plan cosine(int h, int w, double* x, fftw_r2r_kind kind) {
    return fftw_plan_r2r_2d(h, w, x, x, kind, kind, FFTW_ESTIMATE);
  }
  static Plan real_to_complex(int h, int w, double* x, Complex* y) {
    return fftw_plan_dft_r2c_2d(h, w, x, y, FFTW_ESTIMATE);
  }
  static Plan complex_to_real(int h, int w, Complex* y, double* x) {
    return fftw_plan_dft_c2r_2d(h, w, y, x, FFTW_ESTIMATE);
  }
  static void destroy(Plan plan) { fftw_destroy_plan(plan); }
  static void run(Plan plan, double* x) { fftw_execute_r2r(plan, x, x); }
  static void run(Plan plan, double* x, Complex* y) { fftw_execute_dft_r2c(plan, x, y); }
  static void run(Plan plan, Complex* y, double* x) { fftw_execute_dft_c2r(plan, y, x); }
};

template <>
struct Fftw<float> {
  using Plan = fftwf_plan;
  using Complex = fftwf_complex;
  static void* allocate(std::size_t bytes) { return fftwf_malloc(bytes); }
  static void free(void* memory) { fftwf_free(memory); }
  static Plan cosine(int h, int w, float* x, fftw_r2r_kind kind) {
    return fftwf_plan_r2r_2d(h, w, x, x, kind, kind, FFTW_ESTIMATE);
  }
  static Plan real_to_complex(int h, int w, float* x, Complex* y) {
    return fftwf_plan_dft_r2c_2d(h, w, x, y, FFTW_ESTIMATE);
  }
  static Plan complex_to_real(int h, int w, Complex* y, float* x) {
    return fftwf_plan_dft_c2r_2d(h, w, y, x, FFTW_ESTIMATE);
  }
  static void destroy(Plan plan) { fftwf_destroy_plan(plan); }
  static void run(Plan plan, float* x) { fftwf_execute_r2r(plan, x, x); }
  static void run(Plan plan, float* x, Complex* y) { fftwf_execute_dft_r2c(plan, x, y); }
  static void run(Plan plan, Complex* y, float* x) { fftwf_execute_dft_c2r(plan, y, x); }
};

/// FFTW plans and destroys plans for one thread at a time; only running them is thread-safe.
std::mutex& planner() {
  static std::mutex mutex;
  return mutex;
}

template <class T>
class Plan {
 public:
  explicit Plan(typename Fftw<T>::Plan plan) : plan_(plan) {}
  ~Plan() {
    const std::lock_guard<std::mutex> lock(planner());
    Fftw<T>::destroy(plan_);
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  typename Fftw<T>::Plan get() const { return plan_; }

 private:
  typename Fftw<T>::Plan plan_;
};

/// Memory as aligned as FFTW's plans expect it: planes pass through it, so that all are transformed
/// by the same instructions, wherever they lie.
template <class T>
class AlignedBuffer {
 public:
  explicit AlignedBuffer(std::size_t size)
      : memory_(static_cast<T*>(Fftw<T>::allocate(size * sizeof(T)))) {
    if (!memory_) throw std::bad_alloc();
  }
  T* get() const { return memory_.get(); }
  typename Fftw<T>::Complex* complex() const {
    return reinterpret_cast<typename Fftw<T>::Complex*>(memory_.get());
  }

 private:
  struct Free {
    void operator()(T* memory) const { Fftw<T>::free(memory); }
  };
  std::unique_ptr<T, Free> memory_;
};

/// A buffer of the calling thread that keeps its memory from call to call. @param number  tells
/// apart those that are used at the same time.
template <class T, int number>
const AlignedBuffer<T>& thread_buffer(std::size_t size) {
  static thread_local std::unique_ptr<AlignedBuffer<T>> buffer;
  static thread_local std::size_t held = 0;
  if (held < size) {
    buffer = std::make_unique<AlignedBuffer<T>>(size);
    held = size;
  }
  return *buffer;
}

void check_plane(std::string_view where, Index height, Index width) {
  if (height < 1 || width < 1) {
    throw UsageError(
        fmt::format("{}: planes of {} x {}, both must be at least 1.", where, height, width));
  }
}

}  // namespace

// FFTW's REDFT10 is 2 sum_j x_j cos(pi k (j + 1/2) / n), its REDFT01 y_0 + 2 sum_{k > 0} y_k
// cos(...). So with e_0 = sqrt(1 / n), e_k = sqrt(1 / (2 n)):
//   DCT-II = e_k REDFT10 / 2 for k = 0 and e_k REDFT10 otherwise,   DCT-III = REDFT01 of e_k y_k
template <class T>
struct CosineTransform<T>::Plans {
  Plans(Index h, Index w)
      : height(h),
        width(w),
        forward(make(h, w, FFTW_REDFT10)),
        inverse(make(h, w, FFTW_REDFT01)),
        forward_scale(scale(h, w, 0.5)),
        inverse_scale(scale(h, w, 1.0)) {}
  Index size() const { return height * width; }

  static typename Fftw<T>::Plan make(Index h, Index w, fftw_r2r_kind kind) {
    const AlignedBuffer<T>& buffer = thread_buffer<T, 0>(static_cast<std::size_t>(h * w));
    const std::lock_guard<std::mutex> lock(planner());
    return Fftw<T>::cosine(static_cast<int>(h), static_cast<int>(w), buffer.get(), kind);
  }
  /// e_u e_v of every frequency (u, v), with e_0 multiplied by `constant`.
  static std::vector<T> scale(Index h, Index w, double constant) {
    const auto axis = [&](Index n, Index k) {
      return k == 0 ? constant / std::sqrt(static_cast<double>(n))
                    : 1.0 / std::sqrt(2.0 * static_cast<double>(n));
    };
    std::vector<T> result;
    result.reserve(static_cast<std::size_t>(h * w));
    for (Index u = 0; u < h; ++u) {
      for (Index v = 0; v < w; ++v) result.push_back(static_cast<T>(axis(h, u) * axis(w, v)));
    }
    return result;
  }

  Index height;
  Index width;
  Plan<T> forward;
  Plan<T> inverse;
  std::vector<T> forward_scale;
  std::vector<T> inverse_scale;
};

template <class T>
CosineTransform<T>::CosineTransform(Index height, Index width) {
  check_plane("CosineTransform", height, width);
  plans_ = std::make_unique<const Plans>(height, width);
}
template <class T>
CosineTransform<T>::~CosineTransform() = default;
template <class T>
CosineTransform<T>::CosineTransform(CosineTransform&&) noexcept = default;
template <class T>
CosineTransform<T>& CosineTransform<T>::operator=(CosineTransform&&) noexcept = default;

template <class T>
void CosineTransform<T>::forward(const T* input, T* output, Index planes) const {
  const Index size = plans_->size();
  for_each_sample(size, planes, [&](Index plane) {
    T* x = thread_buffer<T, 0>(static_cast<std::size_t>(size)).get();
    const T* scale = plans_->forward_scale.data();
    std::copy_n(input + plane * size, size, x);
    Fftw<T>::run(plans_->forward.get(), x);
    T* y = output + plane * size;
    for (Index i = 0; i < size; ++i) y[i] = x[i] * scale[i];
  });
}

template <class T>
void CosineTransform<T>::inverse(const T* input, T* output, Index planes) const {
  const Index size = plans_->size();
  for_each_sample(size, planes, [&](Index plane) {
    T* x = thread_buffer<T, 0>(static_cast<std::size_t>(size)).get();
    const T* scale = plans_->inverse_scale.data();
    const T* y = input + plane * size;
    for (Index i = 0; i < size; ++i) x[i] = y[i] * scale[i];
    Fftw<T>::run(plans_->inverse.get(), x);
    std::copy_n(x, size, output + plane * size);
  });
}

template <class T>
struct FourierTransform<T>::Plans {
  Plans(Index h, Index w)
      : height(h), width(w), forward(make_forward(h, w)), inverse(make_inverse(h, w)) {}
  Index size() const { return height * width; }
  Index frequencies() const { return height * (width / 2 + 1); }

  static typename Fftw<T>::Plan make_forward(Index h, Index w) {
    const AlignedBuffer<T>& x = thread_buffer<T, 0>(static_cast<std::size_t>(h * w));
    const AlignedBuffer<T>& y = thread_buffer<T, 1>(static_cast<std::size_t>(h * (w + 2)));
    const std::lock_guard<std::mutex> lock(planner());
    return Fftw<T>::real_to_complex(static_cast<int>(h), static_cast<int>(w), x.get(), y.complex());
  }
  static typename Fftw<T>::Plan make_inverse(Index h, Index w) {
    const AlignedBuffer<T>& x = thread_buffer<T, 0>(static_cast<std::size_t>(h * w));
    const AlignedBuffer<T>& y = thread_buffer<T, 1>(static_cast<std::size_t>(h * (w + 2)));
    const std::lock_guard<std::mutex> lock(planner());
    return Fftw<T>::complex_to_real(static_cast<int>(h), static_cast<int>(w), y.complex(), x.get());
  }

  Index height;
  Index width;
  Plan<T> forward;
  Plan<T> inverse;
};

template <class T>
FourierTransform<T>::FourierTransform(Index height, Index width) {
  check_plane("FourierTransform", height, width);
  plans_ = std::make_unique<const Plans>(height, width);
}
template <class T>
FourierTransform<T>::~FourierTransform() = default;
template <class T>
FourierTransform<T>::FourierTransform(FourierTransform&&) noexcept = default;
template <class T>
FourierTransform<T>& FourierTransform<T>::operator=(FourierTransform&&) noexcept = default;

template <class T>
Index FourierTransform<T>::frequencies() const {
  return plans_->frequencies();
}

template <class T>
Index FourierTransform<T>::multiplicity(Index f) const {
  const Index v = f % (plans_->width / 2 + 1);
  return v == 0 || 2 * v == plans_->width ? 1 : 2;
}

template <class T>
void FourierTransform<T>::forward(const T* planes, std::complex<T>* spectra, Index count) const {
  const Index size = plans_->size();
  const Index frequencies = plans_->frequencies();
  for_each_sample(size, count, [&](Index plane) {
    const AlignedBuffer<T>& x = thread_buffer<T, 0>(static_cast<std::size_t>(size));
    const AlignedBuffer<T>& y = thread_buffer<T, 1>(static_cast<std::size_t>(2 * frequencies));
    std::copy_n(planes + plane * size, size, x.get());
    Fftw<T>::run(plans_->forward.get(), x.get(), y.complex());
    std::copy_n(y.get(), 2 * frequencies, reinterpret_cast<T*>(spectra + plane * frequencies));
  });
}

template <class T>
void FourierTransform<T>::inverse(const std::complex<T>* spectra, T* planes, Index count) const {
  const Index size = plans_->size();
  const Index frequencies = plans_->frequencies();
  const T scale = T(1) / static_cast<T>(size);
  for_each_sample(size, count, [&](Index plane) {
    const AlignedBuffer<T>& x = thread_buffer<T, 0>(static_cast<std::size_t>(size));
    const AlignedBuffer<T>& y = thread_buffer<T, 1>(static_cast<std::size_t>(2 * frequencies));
    std::copy_n(reinterpret_cast<const T*>(spectra + plane * frequencies), 2 * frequencies,
                y.get());
    Fftw<T>::run(plans_->inverse.get(), y.complex(), x.get());
    T* to = planes + plane * size;
    for (Index i = 0; i < size; ++i) to[i] = x.get()[i] * scale;
  });
}

template class CosineTransform<float>;
template class CosineTransform<double>;
template class FourierTransform<float>;
template class FourierTransform<double>;

}  // namespace relgrad
