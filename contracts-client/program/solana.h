/*
 * The part of Solana's program ABI that this program uses, for a freestanding `clang -target bpf`.
 *
 * There is no libc, no SDK and no allocator here. Three properties of the target shape the code:
 *   - clang gives a BPF function 512 bytes of stack, so everything larger lives in SCRATCH (below);
 *   - functions take at most five arguments, and there is no signed or 128-bit division;
 *   - the virtual machine allows unaligned loads and stores, so fields of instruction data and of
 *     the serialized input are read through plain pointers.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long u64;
typedef long i64;

#define ALWAYS_INLINE static __attribute__((always_inline)) inline
#define NO_INLINE static __attribute__((noinline))

typedef struct {
    u64 word[4];
} pubkey;

/* SolAccountInfo of the C ABI, 56 bytes: what a cross-program call is given. */
typedef struct {
    pubkey *key;
    u64 *lamports;
    u64 data_len; /* by value: stale after a call that resizes the account, see create_account() */
    u8 *data;
    pubkey *owner;
    u64 rent_epoch;
    u8 is_signer, is_writable, is_executable, padding[5];
} account_info;

/* SolAccountMeta, 16 bytes. */
typedef struct {
    const pubkey *key;
    u8 is_writable, is_signer, padding[6];
} account_meta;

/* SolInstruction, 40 bytes. */
typedef struct {
    const pubkey *program_id;
    const account_meta *metas;
    u64 meta_count;
    const u8 *data;
    u64 data_len;
} cpi_instruction;

/* SolSignerSeed (SolBytes has the same shape) and SolSignerSeeds. */
typedef struct {
    const void *bytes;
    u64 len;
} seed;
typedef struct {
    const seed *seeds;
    u64 count;
} signer_seeds;

/* The sysvars as their system calls write them. */
typedef struct {
    u64 slot;
    i64 epoch_start;
    u64 epoch, leader_schedule_epoch;
    i64 unix_timestamp;
} clock_sysvar;
typedef struct {
    u64 lamports_per_byte_year;
    u64 exemption_threshold_bits; /* an IEEE 754 double; the VM has no floating point */
    u64 burn_percent;             /* one byte, padded */
} rent_sysvar;

/* System calls. The linker turns each call into the hash of its name (link.py). */
extern u64 sol_get_clock_sysvar(clock_sysvar *);
extern u64 sol_get_rent_sysvar(rent_sysvar *);
extern u64 sol_try_find_program_address(const seed *, u64, const pubkey *, pubkey *, u8 *);
extern void *sol_memset_(void *, int, u64);
extern u64 sol_log_data(const seed *, u64);
extern u64 sol_invoke_signed_c(const cpi_instruction *, const account_info *, u64,
                               const signer_seeds *, u64);

/* Well-known addresses, as little-endian words. tests/contracts/test_program_build.py decodes them. */
/* 11111111111111111111111111111111 */
static const pubkey SYSTEM_PROGRAM = {{0, 0, 0, 0}};
/* TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA */
static const pubkey TOKEN_PROGRAM = {
    {0x93a165d7e1f6dd06, 0xac79ebce46e1cbd9, 0x91375b5fed85b41c, 0xa900ff7e85f58c3a}};
/* Ed25519SigVerify111111111111111111111111111 */
static const pubkey ED25519_PROGRAM = {
    {0xbefb937cd6467d03, 0xff408d838f42f912, 0x648af42749747005, 0x00000804470cafc}};
/* Sysvar1nstructions1111111111111111111111111 */
static const pubkey INSTRUCTIONS_SYSVAR = {
    {0x66d17b1817d5a706, 0xc0c2fd5504d4da35, 0xa57556218fc624c1, 0x0000085fcbbadb}};

/* The most accounts one instruction may list: the longest here has eleven, and an arbiter that is a
 * multisig adds up to eleven signers. */
#define ACCOUNTS_MAX 24
#define CPI_ACCOUNTS_MAX 3
#define CPI_DATA_MAX 64
#define SEEDS_MAX 5

/* The token accounts and state that paying out of an escrow touches; filled by load_payment(). */
struct config_account;
struct client_account;
struct provider_account;
struct escrow_account;

/* Everything that does not fit the 512-byte stack. It lives at the start of the 32 KiB heap that
 * the VM maps and zeroes for each invocation; the program allocates nothing else. */
typedef struct {
    account_info accounts[ACCOUNTS_MAX];
    u64 account_count;
    const u8 *args; /* instruction data after the tag byte */
    u64 args_len;
    u8 tag;
    const pubkey *program_id;

    account_info cpi_accounts[CPI_ACCOUNTS_MAX];
    account_meta cpi_metas[CPI_ACCOUNTS_MAX];
    cpi_instruction cpi;
    u8 cpi_data[CPI_DATA_MAX];
    seed seeds[SEEDS_MAX];
    signer_seeds signer;

    clock_sysvar clock;
    rent_sysvar rent;
    pubkey derived_address;
    u8 derived_bump;

    struct config_account *config;
    struct client_account *client;
    struct provider_account *provider;
    struct escrow_account *escrow;
} scratch;

#define SCRATCH ((scratch *)0x300000000UL)
#define ACCOUNT(index) (&SCRATCH->accounts[index])
