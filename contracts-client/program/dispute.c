/* Quarrels: dispute, slash and resolve. */
#include "arbiter.h"
#include "faults.h"
#include "settlement.h"

/*
 * dispute: freeze an escrow until the arbiter decides or the arbitration window passes.
 *
 * Accounts
 *   0 party      signer             client's owner; operator, if an operator opened the escrow; or
 *                                   provider's owner
 *   1 config
 *   2 client     writable
 *   3 provider   writable
 *   4 escrow     writable
 * Arguments: none
 * Before: the escrow is open, and claim_until has not passed; the party can post the escrow's bond:
 *   the client out of its unlocked balance (an operator within its limit, for good), the provider
 *   out of stake that is neither unbonding nor bonded. Or: the provider has opened a dispute, its
 *   arbitration window has not passed, and the client joins.
 * After: no release and no early close; vouchers stay redeemable; resolve is possible, and slash if
 *   the client opened or joined. Joining costs nothing, or a provider could keep a client from
 *   complaining by complaining first.
 */
static u64 dispute(void) {
    enum { PARTY, CONFIG, CLIENT, PROVIDER, ESCROW, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    client_account *client;
    provider_account *provider;
    escrow_account *escrow;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&escrow->provider, PROVIDER));
    u64 is_operator = 0;
    u64 by_provider = check_authority(PARTY, &provider->owner) == 0;
    if (!by_provider) TRY(check_escrow_authority(PARTY, client, escrow, &is_operator));

    if (escrow->state == ESCROW_DISPUTED) {
        REQUIRE(!by_provider && !escrow->client_complains, ERR_WRONG_STATE);
        TRY(check_undecided(escrow));
        escrow->client_complains = 1;
        return 0;
    }
    REQUIRE(escrow->state == ESCROW_OPEN, ERR_WRONG_STATE);
    REQUIRE(now() <= escrow->claim_until, ERR_WRONG_TIME);
    u64 bond = escrow->dispute_bond;
    if (by_provider) {
        u64 bonded = provider->bonded;
        TRY(add_to(&bonded, bond));
        REQUIRE(bonded <= provider->staked, ERR_INSUFFICIENT_STAKE);
        provider->bonded = bonded;
        escrow->dispute_opener = PARTY_PROVIDER;
    } else {
        TRY(lock_balance(client, bond));
        if (is_operator) TRY(take_from(&client->operator_limit, bond, ERR_OVER_LIMIT));
        escrow->dispute_opener = PARTY_CLIENT;
        escrow->client_complains = 1;
    }
    escrow->state = ESCROW_DISPUTED;
    return 0;
}

/* What slash writes into the transaction's log ("Program data:"), so that anybody can audit it. */
typedef struct {
    u64 magic;
    pubkey escrow;
    pubkey provider;
    u64 amount;
    u64 fault;
    pubkey evidence;
} slash_record;
_Static_assert(sizeof(slash_record) == 120, "slash record size");

#define SLASH_MAGIC 0x314853414c53474eUL /* "NGSLASH1" */

/*
 * slash: compensate the client of a disputed escrow out of the provider's stake.
 *
 * Accounts
 *   0 arbiter        signer
 *   1 config
 *   2 provider       writable
 *   3 provider vault writable
 *   4 escrow         writable
 *   5 client         writable
 *   6 client vault   writable
 *   7 token program
 *   + members        signer         if the arbiter is a multisig, which then does not sign itself
 * Arguments: amount u64, fault u8, evidence 32 bytes
 * Before: the escrow, of this provider and client, is disputed, the arbitration window has not
 *   passed, the client complains, and it is not yet slashed; the fault is a proven one (faults.h), and
 *   the evidence's hash is not zero; the amount is at most the escrow's slash_bps of staked and
 *   unbonding together.
 * After: unbonding stake went first, then staked; the client's balance grew by it. Once per escrow,
 *   and never to the arbiter or the market. The log holds a slash_record.
 */
static u64 slash(void) {
    enum { ARBITER, CONFIG, PROVIDER, PROVIDER_VAULT, ESCROW, CLIENT, CLIENT_VAULT, TOKEN, ACCOUNTS };
    enum { AMOUNT = 0, FAULT = 8, EVIDENCE = 9, ARGS_LEN = 41 };
    TRY(expect(ACCOUNTS, ARGS_LEN));
    config_account *config;
    provider_account *provider;
    escrow_account *escrow;
    client_account *client;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_provider(PROVIDER, CONFIG, WRITABLE, &provider));
    TRY(load_escrow(ESCROW, CONFIG, &escrow));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(check_arbiter(ARBITER, &config->terms.arbiter));
    TRY(check_link(&escrow->provider, PROVIDER));
    TRY(check_link(&escrow->client, CLIENT));
    TRY(check_link(&provider->vault, PROVIDER_VAULT));
    TRY(check_link(&client->vault, CLIENT_VAULT));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    TRY(check_undecided(escrow));
    REQUIRE(escrow->client_complains && escrow->slashed == 0, ERR_WRONG_STATE);
    u64 fault = SCRATCH->args[FAULT];
    REQUIRE(fault < FAULT_UNPROVEN_FIRST || fault > FAULT_UNPROVEN_LAST, ERR_FAULT_NOT_PROVEN);
    REQUIRE(fault >= 1 && fault <= FAULT_PROVEN_LAST, ERR_INSTRUCTION_DATA);
    pubkey evidence = arg_key(EVIDENCE);
    REQUIRE(!is_zero_key(&evidence), ERR_FAULT_NOT_PROVEN);
    u64 amount = arg_u64(AMOUNT);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);
    u64 whole_stake = provider->staked;
    TRY(add_to(&whole_stake, provider->unbonding));
    REQUIRE(amount <= basis_points(whole_stake, escrow->slash_bps), ERR_OVER_LIMIT);

    u64 from_unbonding = smaller(amount, provider->unbonding);
    provider->unbonding -= from_unbonding;
    TRY(take_from(&provider->staked, amount - from_unbonding, ERR_INSUFFICIENT_STAKE));
    TRY(add_to(&provider->slashed, amount));
    TRY(add_to(&client->balance, amount));
    escrow->slashed = amount;
    slash_record record = {
        .magic = SLASH_MAGIC,
        .escrow = *ACCOUNT(ESCROW)->key,
        .provider = *ACCOUNT(PROVIDER)->key,
        .amount = amount,
        .fault = fault,
        .evidence = evidence,
    };
    const seed logged = {&record, sizeof(record)};
    sol_log_data(&logged, 1);
    return transfer_tokens(PROVIDER_VAULT, CLIENT_VAULT, PROVIDER, amount, provider_seeds(provider));
}

/*
 * The opener of the loaded dispute was wrong: its bond goes to the other party, to the provider's
 * payout account or to the client's balance. A provider's bond that was slashed away in the meantime
 * is paid as far as there is stake.
 */
NO_INLINE u64 forfeit_bond(void) {
    client_account *client = SCRATCH->client;
    provider_account *provider = SCRATCH->provider;
    u64 bond = SCRATCH->escrow->dispute_bond;
    u64 opener = SCRATCH->escrow->dispute_opener;
    TRY(return_bond(client, provider, SCRATCH->escrow));
    if (opener == PARTY_CLIENT) {
        TRY(take_from(&client->balance, bond, ERR_OVERFLOW));
        return transfer_tokens(PAY_CLIENT_VAULT, PAY_PAYOUT, PAY_CLIENT, bond,
                               client_seeds(client));
    }
    u64 vault = find_index(&provider->vault);
    REQUIRE(vault != NOT_LISTED, ERR_ACCOUNT_COUNT);
    TRY(check_writable(vault));
    u64 paid = smaller(bond, provider->staked);
    provider->staked -= paid;
    TRY(add_to(&client->balance, paid));
    return transfer_tokens(vault, PAY_CLIENT_VAULT, PAY_PROVIDER, paid, provider_seeds(provider));
}

/*
 * resolve: the arbiter divides what a disputed escrow still holds.
 *
 * Accounts
 *   0 arbiter        signer
 *   1 config
 *   2 client         writable
 *   3 provider       writable
 *   4 escrow         writable
 *   5 client vault   writable
 *   6 payout         writable       token account of the provider's payout_owner
 *   7 treasury       writable
 *   8 token program
 *   + rent payer     writable       unless it is the arbiter, who is then writable
 *   + provider vault writable       when the provider loses its bond
 *   + members        signer         if the arbiter is a multisig, which then does not sign itself
 * Arguments: to_provider u64, opener_was_right u8 (0 or 1)
 * Before: the escrow is disputed, and the arbitration window has not passed;
 *   to_provider <= max - released.
 * After: to_provider is paid, the rest is unlocked, the escrow is closed, its rent is returned. The
 *   bond went back to the dispute's opener if it was right, and else to the other party. The arbiter
 *   can give money to nobody but the two parties.
 */
static u64 resolve(void) {
    enum { TO_PROVIDER = 0, OPENER_WAS_RIGHT = 8, ARGS_LEN = 9 };
    TRY(expect(PAY_ACCOUNTS, ARGS_LEN));
    TRY(load_payment());
    TRY(check_arbiter(PAY_FIRST, &SCRATCH->config->terms.arbiter));
    TRY(check_undecided(SCRATCH->escrow));
    u8 opener_was_right = SCRATCH->args[OPENER_WAS_RIGHT];
    REQUIRE(opener_was_right <= 1, ERR_INSTRUCTION_DATA);

    if (!opener_was_right) TRY(forfeit_bond());
    return settle(arg_u64(TO_PROVIDER), CLOSE);
}
