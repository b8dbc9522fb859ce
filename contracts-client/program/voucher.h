/*
 * Cumulative payment vouchers, as the client's session key signs them.
 *
 *    0   8   magic "NGVOUCH1"
 *    8   8   domain of the config: a voucher of one cluster or deployment is worthless on another
 *   16  32   escrow address
 *   48   8   sequence of the escrow: a job id that is closed and opened again gets a new one
 *   56   8   cumulative amount, micro-USDC: all the provider has earned, fees included
 *   64   8   zero
 *
 * Little-endian. neurogrid_marketplace/voucher.py writes the same 72 bytes.
 */
#pragma once
#include "solana.h"

typedef struct {
    u64 magic;
    u64 domain;
    pubkey escrow;
    u64 sequence;
    u64 cumulative;
    u64 reserved;
} voucher;

_Static_assert(sizeof(voucher) == 72, "voucher size");

#define VOUCHER_MAGIC 0x314843554f56474eUL /* "NGVOUCH1" */
