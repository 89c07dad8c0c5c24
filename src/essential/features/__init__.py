"""Frame features of videos: extracted once into a store, or made anew each epoch."""
