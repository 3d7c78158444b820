// Upper bounds of histograms, in the unit of their metric. Few: each is a time series for every combination of labels.

/** A round trip: from the same rack to a satellite, in seconds. */
export const ROUND_TRIP_BUCKETS = [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 20];

/** An answer of the HTTP API, in seconds; the long ones are long polls. */
export const ANSWER_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30];

/** A command, from a ping to what runs for minutes, in seconds. */
export const COMMAND_BUCKETS = [0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 1800];

/** A task, up to the longest one may run, in seconds. */
export const TASK_BUCKETS = [1, 5, 15, 60, 300, 900, 1800, 3600, 14_400, 86_400];

/** How full a bounded buffer is: a share of 1. Above the last one it is as good as full. */
export const FULL_BUCKETS = [0, 0.25, 0.5, 0.75, 0.9];
