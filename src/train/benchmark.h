/* pictograph-train --benchmark: how many images a second a training run gets here, loading and augmentation included. */
#pragma once

/* arguments: MODEL, SIZE, BATCH, PRECISION. Prints one line; returns the exit code of the program. */
int benchmark_run(char **arguments);
