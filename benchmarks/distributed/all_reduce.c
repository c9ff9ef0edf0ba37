/* The all-reduce of 25 MB as a plain C program has it: seconds of each of argv[1] calls, one a line, the slowest rank's. Started by all_reduce.py. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    int rank, n = 25 * 262144, rounds = argc > 1 ? atoi(argv[1]) : 20;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    float *x = calloc(n, sizeof *x);
    for (int i = 0; i < rounds; i++) {
        MPI_Barrier(MPI_COMM_WORLD);
        double took = MPI_Wtime(), slowest;
        MPI_Allreduce(MPI_IN_PLACE, x, n, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
        took = MPI_Wtime() - took;
        MPI_Reduce(&took, &slowest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
        if (rank == 0) printf("%.9f\n", slowest);
    }
    free(x);
    return MPI_Finalize();
}
