/* Clients and their deposits: open_client, deposit, withdraw, set_operator. */
#include "tokens.h"

/*
 * open_client: create a client and its vault.
 *
 * Accounts
 *   0 owner      signer, writable   pays the rent; part of the address
 *   1 config
 *   2 client     writable           created
 *   3 vault      writable           created
 *   4 mint
 *   5 system program
 *   6 token program
 * Arguments: none
 * Before: the owner has no client account in this market.
 * After: an empty deposit without operator.
 */
static u64 open_client(void) {
    enum { OWNER, CONFIG, CLIENT, VAULT, MINT, SYSTEM, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    TRY(check_signer(OWNER));
    config_account *config;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    REQUIRE(same_key(ACCOUNT(MINT)->key, &config->usdc_mint), ERR_WRONG_MINT);
    TRY(check_program(SYSTEM, &SYSTEM_PROGRAM));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));

    set_seed(0, "client", 6);
    set_seed(1, ACCOUNT(CONFIG)->key, 32);
    set_seed(2, ACCOUNT(OWNER)->key, 32);
    TRY(create_account(OWNER, CLIENT, 3, sizeof(client_account), SCRATCH->program_id));
    client_account *client = (client_account *)ACCOUNT(CLIENT)->data;
    client->tag = TAG_CLIENT;
    client->version = ACCOUNT_VERSION;
    client->bump = SCRATCH->derived_bump;
    client->config = *ACCOUNT(CONFIG)->key;
    client->owner = *ACCOUNT(OWNER)->key;
    client->vault = *ACCOUNT(VAULT)->key;
    /* Proves that VAULT is the one vault of CLIENT, or the whole instruction fails. */
    return create_vault(OWNER, VAULT, CLIENT, MINT);
}

/*
 * deposit: add to a client's balance. Anybody may add to anybody's.
 *
 * Accounts
 *   0 funder     signer             may move the source's tokens
 *   1 config
 *   2 client     writable
 *   3 vault      writable
 *   4 source     writable           token account
 *   5 token program
 * Arguments: amount u64
 * Before: not paused; amount > 0.
 * After: the amount moved to the vault, and balance grew by it.
 */
static u64 deposit(void) {
    enum { FUNDER, CONFIG, CLIENT, VAULT, SOURCE, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 8));
    TRY(check_signer(FUNDER));
    config_account *config;
    client_account *client;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    REQUIRE(!config->paused, ERR_PAUSED);
    TRY(check_link(&client->vault, VAULT));
    TRY(check_token_account(SOURCE, &config->usdc_mint, 0));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);

    TRY(add_to(&client->balance, amount));
    return transfer_tokens(SOURCE, VAULT, FUNDER, amount, 0);
}

/*
 * withdraw: take unlocked balance out.
 *
 * Accounts
 *   0 owner       signer
 *   1 config
 *   2 client      writable
 *   3 vault       writable
 *   4 destination writable          token account of anybody's
 *   5 token program
 * Arguments: amount u64
 * Before: 0 < amount <= balance - locked. The operator may not.
 * After: balance shrank by the amount, and the destination has it.
 */
static u64 withdraw(void) {
    enum { OWNER, CONFIG, CLIENT, VAULT, DESTINATION, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 8));
    config_account *config;
    client_account *client;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(check_authority(OWNER, &client->owner));
    TRY(check_link(&client->vault, VAULT));
    TRY(check_token_account(DESTINATION, &config->usdc_mint, 0));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    u64 amount = arg_u64(0);
    REQUIRE(amount > 0, ERR_WRONG_AMOUNT);
    u64 available = client->balance;
    TRY(take_from(&available, client->locked, ERR_OVERFLOW));
    REQUIRE(amount <= available, ERR_INSUFFICIENT_BALANCE);

    client->balance -= amount;
    return transfer_tokens(VAULT, DESTINATION, CLIENT, amount, client_seeds(client));
}

/*
 * set_operator: name, replace or (with the zero key) remove the client's operator.
 *
 * Accounts
 *   0 owner      signer
 *   1 config
 *   2 client     writable
 * Arguments: operator pubkey, limit u64, expiry i64
 * Before: the signer is the client's owner.
 * After: the operator may, before the expiry, open escrows whose maxima add up to at most the limit,
 *   and act for the client on escrows that an operator opened. It may never withdraw.
 */
static u64 set_operator(void) {
    enum { OWNER, CONFIG, CLIENT, ACCOUNTS };
    enum { OPERATOR = 0, LIMIT = 32, EXPIRY = 40, ARGS_LEN = 48 };
    TRY(expect(ACCOUNTS, ARGS_LEN));
    config_account *config;
    client_account *client;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(check_authority(OWNER, &client->owner));

    client->operator = arg_key(OPERATOR);
    client->operator_limit = arg_u64(LIMIT);
    client->operator_expiry = arg_i64(EXPIRY);
    return 0;
}
