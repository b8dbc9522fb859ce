/* Clients and their deposits: open_client, deposit, withdraw, set_operator, close_client. */
#include "tokens.h"

/*
 * Sequence numbers of escrows never repeat at one address, or a voucher of an escrow that is long
 * closed would be good for another one. Within a client account they count up. A client account
 * that is closed and opened again goes on above all that went before: it starts at the slot times
 * SEQUENCES_PER_SLOT, and it may only be closed once the slot has passed everything it has used.
 * Slots never go back, and a slot has time for some thousands of escrows at the most.
 */
#define SEQUENCES_PER_SLOT 65536

ALWAYS_INLINE u64 first_sequence(void) {
    now();
    return SCRATCH->clock.slot * SEQUENCES_PER_SLOT;
}

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
    client->sequence = first_sequence();
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
 * After: the operator may, before the expiry, promise and bond up to the limit, and act for the
 *   client on escrows that an operator opened. It may never withdraw. What its escrows do not pay
 *   returns to the limit when they close, but never to the limit of a later grant.
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
    client->operator_grant++;
    return 0;
}

/*
 * close_client: give a client account up.
 *
 * Accounts
 *   0 owner       signer, writable  gets the rent of both accounts
 *   1 config
 *   2 client      writable          closed
 *   3 vault       writable          closed
 *   4 destination writable          token account of anybody's: gets what strangers sent to the vault
 *   5 token program
 * Arguments: none
 * Before: the balance is 0 and no escrow is open; the account's latest sequence number is below the
 *   first one that an account opened in this slot would have.
 * After: both accounts are gone. The wallet may open a client again; old vouchers stay dead.
 */
static u64 close_client(void) {
    enum { OWNER, CONFIG, CLIENT, VAULT, DESTINATION, TOKEN, ACCOUNTS };
    TRY(expect(ACCOUNTS, 0));
    config_account *config;
    client_account *client;
    TRY(load_config(CONFIG, READ_ONLY, &config));
    TRY(load_client(CLIENT, CONFIG, WRITABLE, &client));
    TRY(check_authority(OWNER, &client->owner));
    TRY(check_writable(OWNER));
    TRY(check_link(&client->vault, VAULT));
    TRY(check_token_account(DESTINATION, &config->usdc_mint, 0));
    TRY(check_program(TOKEN, &TOKEN_PROGRAM));
    REQUIRE(client->balance == 0 && client->open_escrows == 0, ERR_NOT_EMPTY);
    REQUIRE(client->sequence < first_sequence(), ERR_WRONG_TIME);

    TRY(close_vault(VAULT, DESTINATION, OWNER, CLIENT, client_seeds(client)));
    close_account(CLIENT, ACCOUNT(OWNER));
    return 0;
}
