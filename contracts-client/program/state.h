/*
 * The four accounts this program owns. Little-endian; all amounts are micro-USDC, all times Unix
 * seconds. neurogrid_contracts/accounts.py and idl.json repeat the offsets, and a test compares.
 *
 * Every account starts with tag, version, bump and state. Addresses (seeds):
 *   config    "config",   creator, mint      the creator signs: nobody else can take the address
 *   provider  "provider", config, owner
 *   client    "client",   config, owner
 *   escrow    "escrow",   client, job_id
 *   vault     "vault",    client or provider  an SPL token account, owned by that client or provider
 *
 * Invariants, checked after every step in tests/contracts:
 *   vault of a client   == client.balance                       (or more, if somebody donated)
 *   vault of a provider == provider.staked + provider.unbonding (or more)
 *   client.locked       == sum of (max - released) over its escrows, and of the bonds it has posted;
 *                          <= client.balance
 *   provider.bonded     == sum of the bonds it has posted
 *   open_escrows        == number of escrows, in the client and in the provider
 */
#pragma once
#include "solana.h"

enum { TAG_CONFIG = 1, TAG_PROVIDER = 2, TAG_CLIENT = 3, TAG_ESCROW = 4 };
/* Raised with every change of a layout below: an account of another version is refused, not misread. */
enum { ACCOUNT_VERSION = 2 };
/* OFFERED: the provider has not accepted yet; nothing can be paid or disputed. */
enum { ESCROW_OPEN = 1, ESCROW_DISPUTED = 2, ESCROW_OFFERED = 3 };
enum { PARTY_NOBODY = 0, PARTY_CLIENT = 1, PARTY_PROVIDER = 2 };

/* What an administrator may change, after notice. An escrow copies what it needs when it opens. */
typedef struct market_terms {
    u16 fee_bps;   /* of every payment, to the treasury; at most FEE_BPS_MAX */
    u16 slash_bps; /* the most of a provider's whole stake that one dispute may take */
    u32 reserved0;
    u64 min_stake;
    i64 unbonding_window;   /* from request_unstake to withdraw_stake; also the notice for new terms */
    i64 grace_window;       /* from a deadline (or a client's final release) to the refund */
    i64 arbitration_window; /* from the end of the grace window; then a dispute lapses */
    u64 dispute_bond;       /* what opening a dispute puts at stake; 0: nothing */
    pubkey arbiter;         /* a key, or a multisig account of the token program */
    pubkey treasury;        /* token account */
} market_terms;

/* One market. */
typedef struct config_account {
    u8 tag, version, bump, state;
    u8 paused, reserved0[3];
    pubkey creator; /* the key in the address; the first admin */
    pubkey admin;
    pubkey pending_admin; /* may accept; zero: nobody */
    pubkey usdc_mint;
    u64 domain; /* in every voucher: separates clusters and deployments */
    market_terms terms;
    market_terms pending; /* proposed; all zero while terms_from is 0 */
    i64 terms_from;       /* from this second on anybody may apply them; 0: nothing is proposed */
    u64 reserved1[4];
} config_account;

/* A compute provider and its stake. */
typedef struct provider_account {
    u8 tag, version, bump, state;
    u32 open_escrows;
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
    u64 bonded;         /* what of the stake its own disputes hold; slashable like the rest, and so
                           more than `staked` after a slash */
    u64 reserved0;
} provider_account;

/* A client and its deposit. */
typedef struct client_account {
    u8 tag, version, bump, state;
    u32 open_escrows;
    pubkey config;
    pubkey owner;
    pubkey vault;
    pubkey operator; /* may open escrows up to operator_limit in the owner's name; zero: nobody */
    u64 operator_limit; /* what is left; an escrow takes its maximum, and returns what it did not pay */
    i64 operator_expiry;
    u64 balance;        /* the deposit, locked part included */
    u64 locked;         /* promised to escrows, or a bond in a dispute */
    u64 sequence;       /* of its latest escrow; see open_client for where it starts */
    u64 spent;          /* lifetime total, fees included */
    u64 operator_grant; /* how often set_operator was called: which grant operator_limit is of */
    u64 reserved0;
} client_account;

/* Money of one client promised to one provider for one job. It lives in the client's vault; this
 * account is only the promise. */
typedef struct escrow_account {
    u8 tag, version, bump, state;
    u16 fee_bps; /* this and slash_bps, the windows and the bond: as they were when it opened */
    u16 slash_bps;
    pubkey config;
    pubkey client;
    pubkey provider;
    pubkey job_id;
    pubkey rent_payer; /* gets the account's rent back */
    pubkey voucher_signer;
    u64 sequence; /* stamps this escrow: vouchers of an earlier one with this job id stay dead */
    u64 max;
    u64 released; /* cumulative, fees included */
    i64 opened;
    i64 deadline;
    i64 claim_until; /* last second in which the provider may redeem a voucher */
    i64 grace_window;
    i64 arbitration_window;
    u64 dispute_bond; /* while disputed, the opener has posted it */
    u64 slashed;
    u64 operator_charge; /* what operator_grant was charged for it */
    u64 operator_grant;
    u8 opened_by_operator;
    u8 dispute_opener;   /* PARTY_... */
    u8 client_complains; /* the client opened the dispute or joined it: slashing is possible */
    u8 reserved0[5];
    u64 reserved1;
} escrow_account;

_Static_assert(sizeof(market_terms) == 112, "terms size");
_Static_assert(sizeof(config_account) == 408, "config size");
_Static_assert(sizeof(provider_account) == 200, "provider size");
_Static_assert(sizeof(client_account) == 200, "client size");
_Static_assert(sizeof(escrow_account) == 312, "escrow size");

/* 20 %: far above any sane fee, so that a typing mistake cannot take a provider's whole pay. */
#define FEE_BPS_MAX 2000
#define BPS_ONE 10000
/* One year: keeps every sum of a clock and a window inside an i64. */
#define WINDOW_MAX 31536000
