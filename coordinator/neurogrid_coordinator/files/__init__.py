"""Files of clients and jobs: where they are kept, and how they come here."""
