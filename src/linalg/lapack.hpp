#pragma once
/// LAPACK as OpenBLAS ships it.
#include <complex>

extern "C" {
void sgetrf_(const int* m, const int* n, float* a, const int* lda, int* pivots, int* info);
void dgetrf_(const int* m, const int* n, double* a, const int* lda, int* pivots, int* info);
void dgetrs_(const char* op, const int* n, const int* columns, const double* a, const int* lda,
             const int* pivots, double* b, const int* ldb, int* info);
void dsyevd_(const char* job, const char* triangle, const int* n, double* a, const int* lda,
             double* values, double* work, const int* work_size, int* integers,
             const int* integers_size, int* info);
void sgetri_(const int* n, float* a, const int* lda, const int* pivots, float* work,
             const int* work_size, int* info);
void dgetri_(const int* n, double* a, const int* lda, const int* pivots, double* work,
             const int* work_size, int* info);
void cgetrf_(const int* m, const int* n, std::complex<float>* a, const int* lda, int* pivots,
             int* info);
void cgetri_(const int* n, std::complex<float>* a, const int* lda, const int* pivots,
             std::complex<float>* work, const int* work_size, int* info);
void zgetrf_(const int* m, const int* n, std::complex<double>* a, const int* lda, int* pivots,
             int* info);
void zgetri_(const int* n, std::complex<double>* a, const int* lda, const int* pivots,
             std::complex<double>* work, const int* work_size, int* info);
void dgbtrf_(const int* m, const int* n, const int* lower, const int* upper, double* a,
             const int* lda, int* pivots, int* info);
void dgbtrs_(const char* op, const int* n, const int* lower, const int* upper, const int* columns,
             const double* a, const int* lda, const int* pivots, double* b, const int* ldb,
             int* info);
}
