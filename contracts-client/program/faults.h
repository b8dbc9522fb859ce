/*
 * What a provider can be slashed for, and what it cannot.
 *
 * A proven fault is one that somebody else can check from the evidence: signed documents, or running
 * the job again. The rest are the endings of neurogrid_marketplace/faults.py: a lost node, a full
 * disk and a stalled download look alike from outside, happen to the honest, and cost the provider
 * the job's pay; the arbiter has the escrow's rest for such cases. The program knows them by number
 * so that it can refuse them by name, and a test keeps the list complete. Append; never renumber.
 */
#pragma once

enum {
    FAULT_WRONG_RESULT = 1,    /* the job, run again in its recorded profile, gives other outputs */
    FAULT_FORGED_EVIDENCE = 2, /* two statements signed by the provider contradict each other */
    FAULT_OVERSOLD = 3,        /* signed leases promise the same capacity at the same time */
    FAULT_PROVEN_LAST = FAULT_OVERSOLD,

    FAULT_EXIT_NONZERO = 32,
    FAULT_CANCELLED = 33,
    FAULT_MEMORY_EXCEEDED = 34,
    FAULT_PIDS_EXCEEDED = 35,
    FAULT_DISK_EXCEEDED = 36,
    FAULT_TIME_EXCEEDED = 37,
    FAULT_JOB_REFUSED = 38,
    FAULT_IMAGE_NOT_FOUND = 39,
    FAULT_COMMAND_NOT_FOUND = 40,
    FAULT_INPUT_UNAVAILABLE = 41,
    FAULT_OUTPUT_REFUSED = 42,
    FAULT_START_FAILED = 43,
    FAULT_PULL_STALLED = 44,
    FAULT_ENGINE_LOST = 45,
    FAULT_NODE_LOST = 46,
    FAULT_ESCROW_UNSEEN = 47,
    FAULT_RESULT_INVALID = 48,
    FAULT_EXPOSURE_EXHAUSTED = 49,
    FAULT_INPUT_UNREADABLE = 50,
    FAULT_PREEMPTED = 51,
    FAULT_GPU_LOST = 52,
    FAULT_UNPROVEN_FIRST = FAULT_EXIT_NONZERO,
    FAULT_UNPROVEN_LAST = FAULT_GPU_LOST,
};
