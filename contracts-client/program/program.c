/*
 * NeuroGrid's escrow and staking program, as one translation unit.
 *
 * One unit lets clang inline across files and keeps every function static, so the linker has a
 * single object to place. Read in this order: state.h (what is stored), checks.h (what is asked of
 * accounts), settlement.h (how money leaves), then the instructions.
 */
#include "config.c"
#include "provider.c"
#include "client.c"
#include "escrow.c"
#include "release.c"
#include "voucher.c"
#include "dispute.c"
#include "entrypoint.c"
