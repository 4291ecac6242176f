"""`python -m nachos_jax` is the command `nachos`."""

from nachos_jax.cli.main import run

if __name__ == "__main__":
    run()
