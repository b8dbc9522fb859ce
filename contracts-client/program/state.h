/*
 * The four accounts this program owns. Little-endian; all amounts are micro-USDC, all times Unix
 * seconds. neurogrid_contracts/accounts.py and idl.json repeat the offsets, and a test compares.
 *
 * Every account starts with tag, version, bump and state. Addresses (seeds):
 *   config    "config",   admin,  mint       signing admin in the seeds: nobody else can take it
 *   provider  "provider", config, owner
 *   client    "client",   config, owner
 *   escrow    "escrow",   client, job_id
 *   vault     "vault",    client or provider  an SPL token account, owned by that client or provider
 *
 * Invariants, checked after every step in tests/contracts:
 *   vault of a client   == client.balance                       (or more, if somebody donated)
 *   vault of a provider == provider.staked + provider.unbonding (or more)
 *   client.locked       == sum of (max - released) over its escrows, <= client.balance
 */
#pragma once
#include "solana.h"

enum { TAG_CONFIG = 1, TAG_PROVIDER = 2, TAG_CLIENT = 3, TAG_ESCROW = 4 };
enum { ACCOUNT_VERSION = 1 };
enum { ESCROW_OPEN = 1, ESCROW_DISPUTED = 2 };

/* The terms of one market. Nothing but `paused` ever changes, so that no open escrow, stake or
 * deposit can have its terms changed under it; new terms are a new config with new deposits. */
typedef struct config_account {
    u8 tag, version, bump, state;
    u16 fee_bps;   /* of every payment, to the treasury; at most FEE_BPS_MAX */
    u16 slash_bps; /* the most of a provider's whole stake that one dispute may take */
    pubkey admin;
    pubkey arbiter;
    pubkey usdc_mint;
    pubkey treasury; /* token account */
    u64 min_stake;
    i64 unbonding_window;  /* from request_unstake to withdraw_stake */
    i64 grace_window;      /* from a deadline (or a client's final release) to the refund */
    u64 domain;            /* in every voucher: separates clusters and deployments */
    u8 paused, reserved0[7];
    i64 arbitration_window; /* from the end of the grace window; then a dispute lapses */
    u64 reserved1[6];
} config_account;

/* A compute provider and its stake. */
typedef struct provider_account {
    u8 tag, version, bump, state;
    u32 reserved0;
    pubkey config;
    pubkey owner;
    pubkey payout_owner; /* payments go only to token accounts of this wallet */
    pubkey vault;
    u64 staked;
    u64 unbonding; /* asked back, still slashable */
    i64 unbonding_until;
    u64 slashed;        /* lifetime total */
    u64 earned;         /* lifetime total after fees */
    u64 jobs_completed; /* escrows closed by this provider's signature; a statistic, not a proof */
    u64 reserved1[2];
} provider_account;

/* A client and its deposit. */
typedef struct client_account {
    u8 tag, version, bump, state;
    u32 open_escrows;
    pubkey config;
    pubkey owner;
    pubkey vault;
    pubkey operator; /* may open escrows up to operator_limit in the owner's name; zero: nobody */
    u64 operator_limit; /* what is left; opening an escrow takes its whole maximum */
    i64 operator_expiry;
    u64 balance;  /* the deposit, locked part included */
    u64 locked;   /* promised to escrows */
    u64 sequence; /* escrows ever opened; stamps each one, so that old vouchers stay dead */
    u64 spent;    /* lifetime total, fees included */
    u64 reserved0[2];
} client_account;

/* Money of one client promised to one provider for one job. It lives in the client's vault; this
 * account is only the promise. */
typedef struct escrow_account {
    u8 tag, version, bump, state;
    u16 fee_bps; /* as it was when the escrow opened */
    u16 opened_by_operator;
    pubkey config;
    pubkey client;
    pubkey provider;
    pubkey job_id;
    pubkey rent_payer; /* gets the account's rent back */
    pubkey voucher_signer;
    u64 sequence;
    u64 max;
    u64 released; /* cumulative, fees included */
    i64 opened;
    i64 deadline;
    i64 claim_until; /* last second in which the provider may redeem a voucher */
    u64 slashed;
    u64 reserved0;
} escrow_account;

_Static_assert(sizeof(config_account) == 232, "config size");
_Static_assert(sizeof(provider_account) == 200, "provider size");
_Static_assert(sizeof(client_account) == 200, "client size");
_Static_assert(sizeof(escrow_account) == 264, "escrow size");

/* 20 %: far above any sane fee, so that a typing mistake cannot take a provider's whole pay. */
#define FEE_BPS_MAX 2000
#define BPS_ONE 10000
/* One year: keeps every sum of a clock and a window inside an i64. */
#define WINDOW_MAX 31536000
