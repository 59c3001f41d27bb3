// Package bench measures the server against itself and against a physical floor, as ratios in one run.
//
// Figures of one machine at one moment mean little: the next machine is another one, and this one may be busy.
// So everything here comes in arms that take turns in short slices (Alternate), each a process of its own whose
// CPU time and memory are read from the kernel, and what is reported is the median of the ratios of one
// round, with their spread. The floor (Floor) is the least that a program with the same promises could do: the
// same HTTP server and client, the same store, the same two durable steps, and no FHIR in between.
//
// The benchmarks in the test files are what `make bench` runs; docs/performance.md explains the figures.
//
// The trap: load and receivers run on the same cores as what they measure. Times of writes at many writers
// therefore hold the load's own work too; CPU per write is the server's alone.
package bench
