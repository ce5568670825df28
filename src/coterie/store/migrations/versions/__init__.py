"""The steps. A step that was released is never changed again: a later one corrects it."""
