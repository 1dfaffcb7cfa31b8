//! Finding each other: contact links, cards, doorbells and invitations.
