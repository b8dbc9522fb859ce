import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic
from solders.keypair import Keypair

from neurogrid_wallet.errors import PhraseInvalid
from neurogrid_wallet.phrase import (
    SOLANA_KEYGEN,
    SOLANA_PATH,
    WORDS_COUNTS,
    Phrase,
    derive_ed25519,
    new_phrase,
    parse_phrase,
    words_to_ask,
)

ABOUT = "abandon " * 11 + "about"


@pytest.mark.parametrize(
    ("entropy", "words", "seed"),
    [
        (
            "00" * 16,
            ABOUT,
            (
                "c55257c360c07c72029aebc1b53c05ed0362ada38ead3e3e9efa3708e5349553"
                "1f09a6987599d18264c1e1c92f2cf141630c7a3c4ab7c81b2f001698e7463b04"
            ),
        ),
        (
            "7f" * 16,
            "legal winner thank year wave sausage worth useful legal winner thank yellow",
            (
                "2e8905819b8723fe2c1d161860e5ee1830318dbf49a83bd451cfb8440c28bd6f"
                "a457fe1296106559a3c80937a1c1069be3a3a5bd381ee6260e8d9739fce1f607"
            ),
        ),
        (
            "ff" * 32,
            "zoo " * 23 + "vote",
            (
                "dd48c104698c30cfe2b6142103248622fb7bb0ff692eebb00089b32d22484e16"
                "13912f0a5b694407be899ffd31ed3992c456cdf60f5d4564b8ba3f05a69890ad"
            ),
        ),
        (
            "f585c11aec520db57dd353c69554b21a89b20fb0650966fa0a9d6f74fd989d8f",
            (
                "void come effort suffer camp survey warrior heavy shoot primary clutch crush "
                "open amazing screen patrol group space point ten exist slush involve unfold"
            ),
            (
                "01f5bced59dec48e362f2c45b5de68b9fd6c92c6634f44d6d40aab69056506f0"
                "e35524a518034ddc1192e1dacd32c1ed3eaa3c3b131c88ed8e7e54c49a5d0998"
            ),
        ),
    ],
)
def test_the_published_vectors_of_bip_39_hold(entropy: str, words: str, seed: str) -> None:
    """Source: trezor/python-mnemonic, vectors.json; their extra passphrase is TREZOR."""
    phrase = Phrase(bytes.fromhex(entropy))
    assert " ".join(phrase.words) == words.strip()
    assert parse_phrase(words) == phrase
    assert Mnemonic.to_seed(words.strip(), "TREZOR").hex() == seed
    expected = Keypair.from_seed_and_derivation_path(bytes.fromhex(seed), SOLANA_PATH)
    assert phrase.key("TREZOR").address == str(expected.pubkey())


@pytest.mark.parametrize(
    ("seed", "path", "key"),
    [
        (
            "000102030405060708090a0b0c0d0e0f",
            "m/0'",
            "68e0fe46dfb67e368c75379acec591dad19df3cde26e63b93a8e704f1dade7a3",
        ),
        (
            "000102030405060708090a0b0c0d0e0f",
            "m/0'/1'/2'/2'/1000000000'",
            "8f94d394a8e8fd6b1bc2f3f49f5c47e385281d5c17e65324b0f62483e37e8793",
        ),
        (
            (
                "fffcf9f6f3f0edeae7e4e1dedbd8d5d2cfccc9c6c3c0bdbab7b4b1aeaba8a5a2"
                "9f9c999693908d8a8784817e7b7875726f6c696663605d5a5754514e4b484542"
            ),
            "m/0'/2147483647'/1'/2147483646'/2'",
            "551d333177df541ad876a60ea71f00447931c0a9da16f227c11ea080d7391b8d",
        ),
    ],
)
def test_the_published_vectors_of_slip_10_hold(seed: str, path: str, key: str) -> None:
    """Source: SLIP-0010, test vectors 1 and 2 for ed25519."""
    assert derive_ed25519(bytes.fromhex(seed), path).hex() == key


def test_a_phrase_gives_the_address_that_solanas_wallets_show() -> None:
    """Phantom, Solflare and Trezor show this one as the first account of the test phrase."""
    assert parse_phrase(ABOUT).key().address == "HAgk14JpMQLgt6rVgv7cBQFJWFto5Dqxi472uT3DKpqk"


@given(
    entropy=st.sampled_from([16, 20, 24, 28, 32]).flatmap(
        lambda size: st.binary(min_size=size, max_size=size)
    ),
    extra=st.text("abc é", max_size=5),
)
def test_solanas_own_derivation_gives_the_same_keys(entropy: bytes, extra: str) -> None:
    phrase = Phrase(entropy)
    words = " ".join(phrase.words)
    assert parse_phrase(words.upper()) == phrase
    seed = Mnemonic.to_seed(words, extra)
    theirs = Keypair.from_seed_and_derivation_path(seed, SOLANA_PATH)
    assert phrase.key(extra).to_solders() == theirs
    keygen = Phrase(entropy, SOLANA_KEYGEN).key(extra)
    assert keygen.to_solders() == Keypair.from_seed(seed[:32])


def test_the_keygen_form_is_that_of_solana_keygen() -> None:
    words = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    theirs = Keypair.from_seed_phrase_and_passphrase(words, "")
    assert parse_phrase(words, SOLANA_KEYGEN).key().to_solders() == theirs


@pytest.mark.parametrize("count", WORDS_COUNTS)
def test_a_new_phrase_has_the_words_asked_for_and_is_another_each_time(count: int) -> None:
    first, second = new_phrase(count), new_phrase(count)
    assert len(first.words) == count
    assert first != second
    assert parse_phrase("\n".join(first.words)) == first


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not 0"),
        (ABOUT + " about", "not 13"),
        (ABOUT.replace("about", "bitcoin"), "word 12"),
        (ABOUT.replace("about", "abandon"), "do not belong together"),
        ("about " + "abandon " * 11, "do not belong together"),
    ],
)
def test_what_is_no_phrase_is_refused_without_repeating_it(text: str, says: str) -> None:
    with pytest.raises(PhraseInvalid, match=says) as caught:
        parse_phrase(text)
    assert "abandon" not in str(caught.value)
    assert "bitcoin" not in str(caught.value)


@pytest.mark.parametrize(
    "path", ["", "m", "m/44", "m/44'/501", "m/x'", "m/2147483648'", "m/0'" + "/0'" * 10, "M/0'"]
)
def test_a_path_that_ed25519_cannot_follow_is_refused(path: str) -> None:
    with pytest.raises(PhraseInvalid):
        Phrase(bytes(16), path)


def test_the_words_show_in_no_repr() -> None:
    assert repr(parse_phrase(ABOUT)) == "Phrase(12 words)"
    with pytest.raises(PhraseInvalid):
        new_phrase(13)
    with pytest.raises(PhraseInvalid):
        Phrase(bytes(15))


def test_the_words_that_are_asked_for_are_in_order_and_within_the_phrase() -> None:
    for _ in range(50):
        asked = words_to_ask(12, 3)
        assert asked == sorted(set(asked))
        assert len(asked) == 3
        assert asked[0] >= 1
        assert asked[-1] <= 12
