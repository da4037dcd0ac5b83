"""The client side: Twisted protocols that carry out what sessions ask for."""
