"""Entry point of the `neurogrid` command."""

from .cli.group import neurogrid


def main() -> None:
    """Run the command line; exits with the codes that ``neurogrid --help`` lists."""
    neurogrid(prog_name="neurogrid")


if __name__ == "__main__":
    main()
