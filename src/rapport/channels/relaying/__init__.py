"""The relay of letters to mail servers, in this process or in others that it starts."""
