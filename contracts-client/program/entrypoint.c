/* Parsing what the loader passes in, and choosing the instruction. */
#include "checks.h"

/* The first byte of the instruction data. Part of the interface: append, never renumber. */
enum {
    IX_INIT_CONFIG = 0,
    IX_REGISTER_PROVIDER = 1,
    IX_STAKE = 2,
    IX_REQUEST_UNSTAKE = 3,
    IX_WITHDRAW_STAKE = 4,
    IX_SLASH = 5,
    IX_OPEN_CLIENT = 6,
    IX_DEPOSIT = 7,
    IX_WITHDRAW = 8,
    IX_SET_OPERATOR = 9,
    IX_OPEN_ESCROW = 10,
    IX_RELEASE = 11,
    IX_CLAIM_VOUCHER = 12,
    IX_REFUND = 13,
    IX_DISPUTE = 14,
    IX_RESOLVE = 15,
    IX_RELINQUISH = 16,
    IX_SET_PAUSED = 17,
    IX_PROPOSE_TERMS = 18,
    IX_CANCEL_TERMS = 19,
    IX_APPLY_TERMS = 20,
    IX_PROPOSE_ADMIN = 21,
    IX_ACCEPT_ADMIN = 22,
    IX_REBOND = 23,
    IX_CLOSE_PROVIDER = 24,
    IX_CLOSE_CLIENT = 25,
    IX_ACCEPT_ESCROW = 26,
    IX_CANCEL_ESCROW = 27,
    IX_TOP_UP = 28,
    IX_EXTEND = 29,
};

/* Serialized input of the loader: u64 account count; per account the fields below, its data, 10 KiB
 * of room to grow, padding to 8 bytes, u64 rent epoch; then u64 data length, data, program id. */
typedef struct {
    u8 duplicate_of; /* 0xff, or the index of the account this one repeats */
    u8 is_signer, is_writable, is_executable, padding[4];
    pubkey key;
    pubkey owner;
    u64 lamports;
    u64 data_len;
    u8 data[];
} serialized_account;
#define NOT_DUPLICATE 0xff
#define ROOM_TO_GROW 10240

/*
 * Read the input into SCRATCH.
 *
 * No account may be passed twice. That kills every bug in which two names mean one account (paying
 * a vault from itself, one account as client and provider), at no cost to honest callers.
 */
NO_INLINE u64 parse_input(u8 *input) {
    scratch *s = SCRATCH;
    s->account_count = load_u64(input);
    REQUIRE(s->account_count <= ACCOUNTS_MAX, ERR_ACCOUNT_COUNT);
    input += 8;
    for (u64 i = 0; i < s->account_count; i++) {
        serialized_account *from = (serialized_account *)input;
        REQUIRE(from->duplicate_of == NOT_DUPLICATE, ERR_DUPLICATE_ACCOUNT);
        account_info *account = ACCOUNT(i);
        account->key = &from->key;
        account->lamports = &from->lamports;
        account->data_len = from->data_len;
        account->data = from->data;
        account->owner = &from->owner;
        account->is_signer = from->is_signer;
        account->is_writable = from->is_writable;
        account->is_executable = from->is_executable;
        input = from->data + from->data_len + ROOM_TO_GROW;
        input = (u8 *)(((u64)input + 7) & ~7UL);
        account->rent_epoch = load_u64(input);
        input += 8;
    }
    u64 data_len = load_u64(input);
    REQUIRE(data_len >= 1, ERR_INSTRUCTION_DATA);
    s->tag = input[8];
    s->args = input + 9;
    s->args_len = data_len - 1;
    s->program_id = (const pubkey *)(input + 8 + data_len);
    return 0;
}

__attribute__((section(".text.entrypoint"))) u64 entrypoint(u8 *input) {
    TRY(parse_input(input));
    switch (SCRATCH->tag) {
        case IX_INIT_CONFIG: return init_config();
        case IX_REGISTER_PROVIDER: return register_provider();
        case IX_STAKE: return stake();
        case IX_REQUEST_UNSTAKE: return request_unstake();
        case IX_WITHDRAW_STAKE: return withdraw_stake();
        case IX_SLASH: return slash();
        case IX_OPEN_CLIENT: return open_client();
        case IX_DEPOSIT: return deposit();
        case IX_WITHDRAW: return withdraw();
        case IX_SET_OPERATOR: return set_operator();
        case IX_OPEN_ESCROW: return open_escrow();
        case IX_RELEASE: return release();
        case IX_CLAIM_VOUCHER: return claim_voucher();
        case IX_REFUND: return refund();
        case IX_DISPUTE: return dispute();
        case IX_RESOLVE: return resolve();
        case IX_RELINQUISH: return relinquish();
        case IX_SET_PAUSED: return set_paused();
        case IX_PROPOSE_TERMS: return propose_terms();
        case IX_CANCEL_TERMS: return cancel_terms();
        case IX_APPLY_TERMS: return apply_terms();
        case IX_PROPOSE_ADMIN: return propose_admin();
        case IX_ACCEPT_ADMIN: return accept_admin();
        case IX_REBOND: return rebond();
        case IX_CLOSE_PROVIDER: return close_provider();
        case IX_CLOSE_CLIENT: return close_client();
        case IX_ACCEPT_ESCROW: return accept_escrow();
        case IX_CANCEL_ESCROW: return cancel_escrow();
        case IX_TOP_UP: return top_up();
        case IX_EXTEND: return extend();
        default: return ERR_INSTRUCTION_DATA;
    }
}
