"""A stand-in AWS over real HTTP: moto, and what moto does not do. Only tests, benchmarks and demonstrations use it."""
