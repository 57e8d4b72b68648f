import { render } from 'preact';
import { App } from './app';
import './style.css';
import { apply } from './theme';

apply();
const root = document.getElementById('app');
if (root) render(<App />, root);
